async def by_words(job):
    text = job.view["ticket.text"]
    return {"votes.words": "billing" if "invoice" in text else "repairs" if "broken" in text else "general"}


async def by_sender(job):
    return {"votes.sender": "billing" if job.view["ticket.from"].startswith("accounts@") else "repairs"}


async def by_length(job):
    return {"votes.length": "general" if len(job.view["ticket.text"]) < 20 else "repairs"}
