"""The pure core: no clock, no randomness, no I/O. Time and ids arrive in events.

Plan and Rules say what may happen, Machine what happens next, Bank what was written and who may see it, Event what is
remembered. Whoever folds a run's events, live or later, gets the same state.
"""
