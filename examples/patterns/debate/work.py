FOR = ["it is cheaper", "it is quicker", "others do it"]
AGAINST = ["it is risky", "nobody has tested it", "it can't be undone"]


async def advocate(job):
    return {"said.for": FOR[len(job.view.get("said.for", []))]}


async def sceptic(job):
    heard = job.view.get("said.for", [])  # of the rounds before this one
    return {"said.against": f"{AGAINST[len(heard)]}{', though ' + heard[-1] if heard else ''}"}


async def decide(job):
    sides = job.view["said"]
    side = max(("for", "against"), key=lambda name: sum(map(len, sides[name])))
    return {"verdict.side": side, "verdict.since": sides[side][-1]}
