"""People of a simulated world who meddle: they have steps tried again, or skip them, and fork runs; a seed decides."""

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from interlock.core import events as e
from interlock.engine.engine import Engine
from interlock.errors import DecisionRefused, InputError, StaleDriver

from .account import Account
from .forks import name_of

if TYPE_CHECKING:
    from .process import Process
    from .world import World

Verb = Literal["retry", "skip"]

BY = "person:sim"
# The share of steps that are dead or wait for a person, of which somebody wants something else; and of those that has
# been called so often nobody wants anything any more.
SETTLED = 0.5
ATTEMPTS_MAX = 12
# The share of runs that are forked at a step, and of those in which effects are performed again; and how many forks
# follow from one run.
FORKED = 0.6
REPEATED = 0.3
FORKS_IN_A_ROW = 2
OVER = frozenset({"succeeded", "failed", "cancelled"})


async def meddle(process: "Process", engine: Engine) -> None:
    """Do something about some steps of some runs, each once."""
    await _settle(process, engine)
    await _fork(process, engine)


async def _settle(process: "Process", engine: Engine) -> None:
    world = process.world
    for verb, run_id, step in _to_settle(world):
        do = engine.retry if verb == "retry" else engine.skip
        try:
            run = await do(run_id, step, by=BY, reason="it will do")
        except StaleDriver:
            pass  # another process has been quicker
        except (InputError, DecisionRefused):
            if _may_be_settled(world.accounts[run_id], verb, step):
                raise
        else:
            world.run_ended(process, run)


def _to_settle(world: "World") -> list[tuple[Verb, str, str]]:
    found: list[tuple[Verb, str, str]] = []
    for name, run_id in _named(world):
        for step, one in world.accounts[run_id].steps.items():
            draw = ("settle", name, step, one.attempt)
            if one.state in {"dead", "escalated"} and world.chance.share(*draw) < SETTLED:
                verb: Verb = world.chance.pick(("retry", "skip"), "verb", *draw)
                if verb == "skip" or one.attempt < ATTEMPTS_MAX:
                    found.append((verb, run_id, step))
    return found


def _may_be_settled(account: Account, verb: Verb, step: str) -> bool:
    """Whether a step can be tried again or skipped, as far as is known from outside."""
    one = account.steps[step]
    if one.state == "escalated":
        return not one.about
    has_committed = verb == "skip" and step in account.outbox
    return account.status != "running" and not has_committed and not account.why_not_reopened([step])


async def _fork(process: "Process", engine: Engine) -> None:
    world = process.world
    for run_id, step in _to_fork(world):
        repeat = world.chance.share("repeat", name_of(run_id, world.accounts)) < REPEATED
        with suppress(StaleDriver):
            run = await engine.fork(run_id, step, by=BY, reason="what if", repeat_effects=repeat)
            world.run_ended(process, run)


def _to_fork(world: "World") -> list[tuple[str, str]]:
    """Some of the runs that are over, and none twice, each at a step."""
    origins = filter(None, map(_origin, world.accounts.values()))
    forked = {origin.run_id for origin in origins if origin.at}
    return [
        (run_id, world.chance.pick(sorted(world.accounts[run_id].steps), "fork at", name))
        for name, run_id in _named(world)
        if run_id not in forked and world.accounts[run_id].status in OVER
        if _generation(world, run_id) < FORKS_IN_A_ROW and world.chance.share("fork", name) < FORKED
    ]


def _named(world: "World") -> list[tuple[str, str]]:
    return sorted((name_of(run_id, world.accounts), run_id) for run_id in world.accounts)


def _origin(account: Account) -> e.Origin | None:
    first = account.events[0]
    return first.origin if isinstance(first, e.RunStarted) else None


def _generation(world: "World", run_id: str) -> int:
    """How many forks at a step led to a run."""
    origin = _origin(world.accounts[run_id])
    return 0 if origin is None else _generation(world, origin.run_id) + bool(origin.at)
