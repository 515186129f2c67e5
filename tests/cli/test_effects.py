"""Effects as `show` and `replay` tell them."""

from io import StringIO

import msgspec
from msgspec import Raw
from rich.console import Console

from interlock import history
from interlock.cli.paint_run import steps_tree
from interlock.core import events as e
from interlock.core.effects import EffectRule
from interlock.core.machine import Machine
from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.history import Record
from interlock.ports import RunRow

RULES = Rules(
    Plan([Step("a", "ann", "act")]),
    {"ann": Role(Scope(["act", "mail", "pay"], ["*"], ["*"]))},
    effects={"mail": EffectRule(), "pay": EffectRule()},
)
WANTED = (e.EffectWanted("mail", "mail", Raw(b'{"to":"eve"}')), e.EffectWanted("pay", "k 1", Raw(b"5")))


def record(*events):
    """A run of one step, which has committed with two effects, and what became of them."""
    view = Machine(RULES)
    view.apply(e.RunStarted(0, Raw(b"{}"), "t", RULES.plan.hash))
    hash_ = view.bank.view_hash(1, view.duty(1).sight)
    told = [
        e.RunStarted(0, Raw(b"{}"), "t", RULES.plan.hash),
        e.AttemptStarted(1, "a", 1, "ann", hash_),
        e.AttemptCommitted(2, "a", 1, effects=WANTED),
        *events,
    ]
    return Record(RunRow("r", "running", "", "t", RULES.plan.hash, "", "", 0, 0, 0), "t", RULES, told)


BEGUN = e.EffectStarted(3, "a", "mail", "mail")
DONE = (BEGUN, e.EffectDone(4, "a", "mail", Raw(b'{"receipt":7}')), e.EffectStarted(5, "a", "pay", "k 1"))


def shown(*events):
    out = Console(width=100, file=StringIO(), no_color=True)
    out.print(steps_tree(history.story(record(*events))))
    return [line.strip(" │├└─") for line in out.file.getvalue().splitlines()]


def test_each_effect_has_a_line_below_its_step_and_those_that_need_a_look_come_first():
    unknown = e.EffectBecameUnknown(6, "a", "k 1", "the line broke")

    assert shown(*DONE, unknown)[-2:] == ["? pay (k 1)  effect unknown  the line broke", "✓ mail  effect done"]
    assert shown()[-2:] == ["▹ mail  effect requested", "▹ pay (k 1)  effect requested"]
    assert shown(BEGUN)[-2:] == ["▸ mail  effect started", "▹ pay (k 1)  effect requested"]


def test_tries_and_results_that_were_not_kept_are_told():
    failed, again = e.EffectFailed(4, "a", "mail", "busy"), e.EffectStarted(5, "a", "mail", "mail", 2)

    assert shown(BEGUN, failed)[-2] == "✗ mail  effect failed  busy"
    flawed = e.EffectDone(6, "a", "mail", flaw="too large")
    assert shown(BEGUN, failed, again, flawed)[-1] == "✓ mail  effect done  2 tries  without a result: too large"


def test_the_document_lists_them():
    told = msgspec.json.decode(msgspec.json.encode(history.story(record(*DONE)).to_dict()))

    assert told["plan"][0]["state"] == "performing"
    assert told["effects"] == [
        {
            "step": "a",
            "effect": "mail",
            "key": "mail",
            "payload": {"to": "eve"},
            "state": "done",
            "tries": 1,
            "result": {"receipt": 7},
        },
        {"step": "a", "effect": "pay", "key": "k 1", "payload": 5, "state": "started", "tries": 1},
    ]
    assert told["attempts"][0]["effects"] == [
        {"effect": "mail", "key": "mail", "payload": {"to": "eve"}},
        {"effect": "pay", "key": "k 1", "payload": 5},
    ]


def test_a_replay_finds_an_effect_that_had_no_reason_to_begin():
    fine = [moment.mismatches for moment in history.replay(record(*DONE)) if moment.mismatches]
    assert fine == []
    twice = history.replay(record(BEGUN, e.EffectDone(4, "a", "mail"), e.EffectStarted(5, "a", "pay", "k 1", 2)))
    (wrong,) = [mismatch for moment in twice for mismatch in moment.mismatches]
    assert (wrong.what, wrong.recorded, wrong.computed) == ("effect", "pay, try 2", "pay, try 1")
