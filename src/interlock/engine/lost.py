"""What was in flight when the driver of a run died or stopped."""

from interlock.core import events as e
from interlock.core.machine import Machine

# Why nobody knows what became of an effect.
LOST = "its driver died or stopped meanwhile"


def lost(machine: Machine, at_us: int) -> list[e.AnyEvent]:
    """The calls and effects that were in flight when the driver of a run ended."""
    return [
        *(e.AttemptInterrupted(at_us, machine.step_id(n), machine.attempts[n]) for n in machine.running()),
        *(
            e.EffectBecameUnknown(at_us, machine.step_id(n), entry.key, LOST, lost=True)
            for n, entry in machine.ledger.open()
        ),
    ]
