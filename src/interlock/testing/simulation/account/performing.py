"""What must be true of a step with effects: they are performed in turn, and the step is over when all are done."""

from interlock.core import events as e

from .effects import EffectAccount, EffectEvent
from .known import Known, StepAccount
from .progress import end


def perform(run: Known, name: str, *keys: str) -> None:
    """A step has committed, and these effects with it."""
    run.outbox[name] = [*keys]
    run.steps[name].state = "performing"
    settle(run, name)


def settle(run: Known, name: str) -> None:
    """A step that has committed is over when all its effects are done."""
    if run.steps[name].state == "performing" and not (run.effects.known and _left(run, name)):
        end(run, name, "committed")


def _left(run: Known, name: str) -> list[EffectAccount]:
    return [effect for effect in run.effects.of(name) if effect.open or is_waited_for(run, name, effect)]


def is_waited_for(run: Known, name: str, effect: EffectAccount) -> bool:
    """Whether a step, or an attempt of it, goes on only after this effect."""
    return not effect.done and (effect.key in run.outbox.get(name, ()) or effect.key in run.waited.get(name, ()))


def held_up_by(run: Known, name: str) -> list[EffectAccount]:
    """The effects that hold a step up."""
    if not run.effects.known:
        return []
    return [*run.effects.stuck(name, (*run.outbox.get(name, ()), *run.waited.get(name, ())))]


def effect_told(run: Known, event: EffectEvent) -> None:
    """Something has become of an effect."""
    one, name = run.step(event.step), event.step
    if isinstance(event, e.EffectRequested):
        asked = one.open and one.attempt == event.attempt and one.duty.immediate
        run.require("effects", asked, f"{name} asks for {event.key} although it may not")
        run.effects.asked(name, event.effect, event.key, event.payload, one.duty.effects)
        run.waited.setdefault(name, {})[event.key] = None
        return
    if isinstance(event, e.EffectStarted):
        _require_effect_turn(run, event, one)
    run.effects.hear(event)
    is_told = one.state == "running" and isinstance(event, e.EffectFailed)
    if is_told and not run.effects.may_go_on(run.effects.known[name, event.key]):
        run.waited.get(name, {}).pop(event.key, None)
    settle(run, name)


def effect_shared(run: Known, event: e.EffectShared) -> None:
    """A fork takes over what became of an effect."""
    run.require("shared", run.takes_over, f"{event.key} is taken over, but not into a fork")
    run.effects.shared(event)


def _require_effect_turn(run: Known, event: e.EffectStarted, one: StepAccount) -> None:
    """That an effect may begin: its commit is there and those before it are done, or its attempt waits for it."""
    name, key = event.step, event.key
    in_turn = one.state == "running" and key in run.waited.get(name, ())
    if one.state == "performing":
        before = [effect for effect in run.effects.of(name) if is_waited_for(run, name, effect) or effect.open]
        in_turn = bool(before) and before[0].key == key
    run.require("effects_durable", in_turn, f"{key} of {name} is begun while the step is {one.state}")
    waited = event.at_us >= run.effects.known[name, key].not_before_us or not run.clock_is_steady
    run.require("backoff", waited, f"{key} of {name} is begun before its wait is over")


def forget_waits(run: Known, name: str) -> None:
    """The attempt that waited for its effects is over."""
    run.waited.pop(name, None)
