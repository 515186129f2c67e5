WANTED = ["Who?", "When?", "How much?"]
ANSWERS = {"Who?": "The board", "When?": "on Monday", "How much?": "for 900 EUR"}


async def write(job):
    wrong = job.view.get("review.wrong", [])  # nothing, the first time
    if not wrong:
        return {"draft": [job.view["topic"]]}
    return {"draft": [*job.view["draft"], ANSWERS[wrong[0]]]}


async def criticise(job):
    wanted = WANTED[: job.view["topic"].count(" ")]
    wrong = [question for question in wanted if ANSWERS[question] not in job.view["draft"]]
    return {"review": {"done": not wrong, "wrong": wrong}}
