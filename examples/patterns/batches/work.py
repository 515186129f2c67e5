async def bill(job):
    orders = job.item  # two of them; of an odd number the last is alone
    return {"invoices": {"for": [order["id"] for order in orders], "eur": sum(order["eur"] for order in orders)}}


async def sum_up(job):
    return {"total": sum(invoice["eur"] for invoice in job.view.get("invoices", []))}
