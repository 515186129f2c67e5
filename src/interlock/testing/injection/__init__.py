"""What goes wrong on purpose, in a simulation or in a real run.

`Faults` are declared, in Python or YAML; each time one strikes that is an `Injection`. A `FaultyAdapter` breaks calls,
with `garble` for what a hallucinating agent answers, a `FaultyJournal` breaks writes. `orchestrator` has an engine with
both, for real runs.
"""

from .adapters import FaultyAdapter, InjectedError
from .faults import Fault, Faults, Injection
from .garbage import garble
from .journals import FaultyJournal

__all__ = [
    "Fault",
    "Faults",
    "FaultyAdapter",
    "FaultyJournal",
    "InjectedError",
    "Injection",
    "garble",
]
