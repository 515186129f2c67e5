"""The agents of the team: each reads what its scope shows, asks one rule, and writes its own fields."""

import rules

import interlock as il

STYLES = ("brief", "formal", "checklist")


@il.agent("extractor")
async def extract(job: il.Job) -> il.Reply:
    return il.Reply(writes={"entities.found": rules.extract(job.view["document.text"])})


@il.agent("reader_first")
async def read_first(job: il.Job) -> il.Reply:
    return il.Reply(writes={"readings.first": rules.first_facts(job.view["document.text"])}, confidence=0.9)


@il.agent("reader_last")
async def read_last(job: il.Job) -> il.Reply:
    return il.Reply(writes={"readings.last": rules.last_facts(job.view["document.text"])}, confidence=0.6)


@il.agent("validator")
def validate(job: il.Job) -> il.Reply:  # not async: runs in a worker process, which a timeout can kill
    valid, rejected = rules.validate(job.view["document.text"], job.view["entities.found"])
    return il.Reply(writes={"entities.valid": valid, "entities.rejected": rejected})


@il.agent("brief")
async def write_brief(job: il.Job) -> il.Reply:
    return il.Reply(writes={"options.brief": rules.brief(job.view["entities.valid"])})


@il.agent("formal")
async def write_formal(job: il.Job) -> il.Reply:
    return il.Reply(writes={"options.formal": rules.formal(job.view["entities.valid"])})


@il.agent("checklist")
async def write_checklist(job: il.Job) -> il.Reply:
    return il.Reply(writes={"options.checklist": rules.checklist(job.view["entities.valid"])})


@il.agent("selector")
async def choose(job: il.Job) -> il.Reply:
    options = [job.view[f"options.{style}"] for style in STYLES]
    best = rules.choose(options)
    return il.Reply(writes={"summary.text": options[best], "summary.chosen": STYLES[best]})
