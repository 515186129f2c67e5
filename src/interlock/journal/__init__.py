"""Journals: append-only events per run, with expected seq, ownership, batches and requests.

SqliteJournal (durable, the default) and MemoryJournal (gone with the process) pass the same contract suite.
"""
