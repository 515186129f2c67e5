import re


async def read(job):
    text = job.view["letter.text"]
    damage = next((thing for thing in ("window", "roof", "door") if thing in text), "other")
    return {"claim": {"damage": damage, "sum": int(re.search(r"\d+", text)[0])}}


async def write(job):
    return {"reply": f"Dear {job.view['letter.name']}, we pay {job.view['offer.sum']} EUR."}
