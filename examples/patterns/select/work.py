STYLES = ["{} is fun.", "{}: all that you need to know, in an hour.", "Learn {} today!"]


async def write(job):
    return {f"drafts.{job.step}": STYLES[job.index - 1].format(job.view["topic"])}


async def score(job):
    drafts = job.view["drafts"]
    return {"scores": {name: min(1.0, len(text) / 50) for name, text in drafts.items()}}
