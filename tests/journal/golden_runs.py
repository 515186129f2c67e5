"""The golden journals: runs as earlier versions wrote them, and how each must end when it is folded today.

A run is three files. `NAME.jsonl`: its events, one a line, as they were stored. `NAME.team.json`: the document of its
team, byte for byte. `NAME.end.json`: its end. They are compatibility data: never change one, add more.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.machine import Machine
from interlock.team import Team

FOLDER = Path(__file__).with_name("golden")
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
MEND = (
    "Old journals can't be read any more: give the field a default, keep the old name with rename, "
    "or write a migration and raise FORMAT_VERSION"
)


def stored(name: str) -> list[bytes]:
    """The events of a run, encoded."""
    return FOLDER.joinpath(f"{name}.jsonl").read_bytes().removesuffix(b"\n").split(b"\n")


def team_document(name: str) -> bytes:
    return FOLDER.joinpath(f"{name}.team.json").read_bytes()


def end(name: str) -> Any:
    return msgspec.json.decode(FOLDER.joinpath(f"{name}.end.json").read_bytes())


def read(
    name: str, decode: Callable[[bytes], Any] = e.decode, encode: Callable[[Any], bytes] = e.encode
) -> Iterator[Any]:
    """The events of a run. Fails with the event, its line and the mend where one means something else today.

    That an event can be decoded is not enough: under another name an optional field is silently lost. So it must be
    encoded to the same fields again, too.
    """
    for number, line in enumerate(stored(name), 1):
        place = f"{msgspec.json.decode(line)['t']}, line {number} of {name}.jsonl"
        try:
            event = decode(line)
        except msgspec.DecodeError as error:
            raise AssertionError(f"{place}: {error}. {MEND}") from error
        change = _change(line, encode(event))
        assert not change, f"{place}: {change}. {MEND}"
        yield event


def _change(line: bytes, again: bytes) -> str:
    before, after = (msgspec.json.decode(data, type=dict[str, msgspec.Raw]) for data in (line, again))
    lost = [key for key in before if key not in after]
    other = [key for key in before if key in after and bytes(before[key]) != bytes(after[key])]
    gained = [key for key in after if key not in before]
    parts = {"is lost": lost, "is read as something else": other, "is new, but no default": gained}
    return "; ".join(f"{', '.join(keys)} {what}" for what, keys in parts.items() if keys)


def machine_of(name: str) -> Machine:
    """A machine for a run that has not begun."""
    return Machine(Team.of_document(team_document(name)).rules)


def end_of(machine: Machine) -> dict[str, Any]:
    """All that can be seen of a run from outside, and what it asks for next, as JSON."""
    numbers = range(1, len(machine.state))
    return {
        "status": machine.status,
        "reason": machine.reason,
        "seq": machine.seq,
        "started_us": machine.started_us,
        "at_us": machine.at_us,
        "cost": {"usd": machine.cost.usd, "tokens": machine.cost.tokens, "calls": machine.cost.calls},
        "states": {machine.step_id(n): machine.state[n] for n in numbers},
        "attempts": {machine.step_id(n): machine.attempts[n] for n in numbers},
        "reasons": {machine.step_id(n): machine.reasons[n] for n in numbers if n in machine.reasons},
        "feedback": {machine.step_id(n): [*machine.feedback[n]] for n in numbers if n in machine.feedback},
        "performers": {machine.step_id(n): machine.duty(n).agent for n in numbers},
        "context": machine.context.to_dict(),
        "view_hashes": {machine.step_id(n): view_hash(machine, n) for n in numbers},
        "due": [_due(command) for command in machine.decide()],
    }


def view_hash(machine: Machine, n: int) -> str:
    """The hash of what a step may see."""
    return machine.bank.view_hash(machine.label[n], machine.duty(n).sight)


def _due(command: Any) -> dict[str, Any]:
    said = ("step", "agent", "attempt", "timeout_ms", "due_us", "status", "reason")
    return {"command": type(command).__name__} | {key: getattr(command, key) for key in said if hasattr(command, key)}
