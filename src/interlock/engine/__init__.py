"""Layer 2, the embedded asyncio shell: it carries out what the machine commands and reports what happened.

Engine drives many runs, Driver one of them; Slots bound the calls in flight; Run is what the caller gets back. The
shell decides nothing: whether and when a step runs is the machine's business.
"""
