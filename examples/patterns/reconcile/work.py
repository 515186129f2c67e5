import re

AMOUNT = re.compile(r"[0-9][0-9,.]*")
DUE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2} [A-Z][a-z]+ [0-9]{4}")


async def by_lines(job):
    lines = dict(line.split(": ", 1) for line in job.view["letter"].splitlines() if ": " in line)
    return {"found.lines": {"amount": lines["Total"], "due": lines["Due"]}}


async def by_words(job):
    text = job.view["letter"]
    amount = float(AMOUNT.findall(text)[0].replace(",", ""))  # the first number that it finds
    return {"found.words": {"amount": amount, "due": DUE.findall(text)[-1]}}


async def judge(job):
    """What stands beside the word Total is right; of anything else it can't say."""
    choices = {}
    for path, said in job.conflicts.items():
        right = [one["number"] for one in said if f"Total: {one['value']}" in job.view["letter"]]
        choices[path] = right[0] if right else 0
    return {"choices": choices}
