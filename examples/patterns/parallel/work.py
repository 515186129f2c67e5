import re


async def parties(job):
    return {"found.parties": re.findall(r"[A-Z]\w+ (?:Ltd|Inc)", job.view["contract"])}


async def dates(job):
    return {"found.dates": re.findall(r"\d{4}-\d\d-\d\d", job.view["contract"])}


async def sums(job):
    return {"found.sums": re.findall(r"\d+ EUR", job.view["contract"])}


async def report(job):
    found = job.view["found"]
    return {"report": "; ".join(f"{what}: {', '.join(found[what]) or 'none'}" for what in found)}
