FACTS = {"hours": "9 to 17 o'clock", "prices": "from 12 EUR"}


async def read(job):
    return {"letter.wish": "prices" if "cost" in job.view["letter.text"] else "hours"}


async def look_up(job):
    return {"answer.facts": FACTS[job.view["letter.wish"]]}


async def write(job):
    return {"answer.text": f"About our {job.view['letter.wish']}: {job.view['answer.facts']}."}
