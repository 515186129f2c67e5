import re

import interlock as il

WORK = {"window": 300, "roof": 2000, "door": 500}
PARTS = {"window": 200, "roof": 2500, "door": 400}


async def of_builder(job):
    return {"opinions.builder": WORK.get(job.view["damage"], 100)}


async def of_dealer(job):
    return {"opinions.dealer": PARTS.get(job.view["damage"], 100)}


async def decide(job):
    asked, worth = job.view["asked"], sum(job.view["opinions"].values())
    said = re.search(r"\d+", job.answer or "")
    if said:
        return {"worth": int(said[0])}
    if asked > 2 * worth:
        return il.Reply(ask=il.Question(f"{asked} EUR are asked for what is worth {worth} EUR. What do we pay?"))
    return {"worth": min(asked, worth)}
