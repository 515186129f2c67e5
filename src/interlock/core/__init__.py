"""The pure core: no clock, no randomness, no I/O. Time and ids arrive in events.

Plan and Rules say what may happen, Machine what happens next, Bank what was written and who may see it, Event what is
remembered. The same core is driven by the embedded engine, by simulation and by replay.
"""
