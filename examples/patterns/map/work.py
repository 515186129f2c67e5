from collections import Counter

GOOD, BAD = {"great", "lovely", "friendly"}, {"slow", "cold", "rude"}


async def label(job):
    words = set(job.item.lower().split())
    found = {True: "good"} if words & GOOD else {}
    found |= {False: "bad"} if words & BAD else {}
    return {f"labels.{job.index}": "mixed" if len(found) != 1 else next(iter(found.values()))}


async def count(job):
    return {"counts": dict(Counter(job.view.get("labels", {}).values()))}
