async def note(job):
    return {"notes": job.item.split(".")[0]}  # what stands first


async def merge(job):
    return {"paragraphs": "; ".join(job.item) + "."}


async def summarise(job):
    return {"summary": f"{job.view['title']}: {' '.join(job.view.get('paragraphs', []))}"}
