import interlock as il

KNOWN = {"capital of France": ("Paris", 1), "boiling point of neon": ("27 K", 2), "seventh digit of e": ("2", 3)}


def answer(job, size):
    known, needed = KNOWN.get(job.view["question"], ("no idea", 9))
    return il.Reply(writes={"answer": known}, confidence=0.95 if size >= needed else 0.3)


async def small(job):
    return answer(job, 1)


async def medium(job):
    return answer(job, 2)


async def large(job):
    return answer(job, 3)
