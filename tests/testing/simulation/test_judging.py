"""Judges in simulated worlds, and an account that refuses verdicts which don't follow from their words."""

from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest
from msgspec import Raw

from interlock.core import events as e
from interlock.core.guardrail import Judge
from interlock.core.job import Reply
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.checks import check_outcome
from interlock.testing.simulation.crashes import explore_crashes
from interlock.testing.simulation.world import World

from .scenes_of import TEAMS, episodes, every_fault, scene, scenes
from .test_account import ALL, Telling, step

JUDGED = TEAMS / "judged.yaml"
PAY = e.EffectWanted("pay", "pay", Raw(b"1"))
PLAINLY = """
agents:
  writer:
    allowed_actions: [write]
    context_access: [question]
    write_permissions: [answer, second]
    guardrails: [judge: {agent: critic, threshold: 0.5}]
  critic: {allowed_actions: [judge], context_access: [question], write_permissions: []}
plan:
  - {id: write, agent: writer, action: write, writes: [answer]}
  - {id: again, agent: writer, action: write, needs: [write], writes: [second], on_dead: skip}
"""


@pytest.mark.parametrize("faults", [(), every_fault()], ids=["calm", "every fault"])
def test_nothing_breaks_and_everything_happens(faults):
    made, seen = scenes(JUDGED, faults=faults), Counter()
    for episode in episodes(made, range(40)):
        seen.update(type(event).__name__ for account in episode.runs.values() for event in account.events)
    assert {"ReplyDrafted", "ReplyJudged", "AttemptRefused", "AttemptCommitted"} <= seen.keys()


def test_a_crash_at_any_write_comes_to_the_same_end(tmp_path):
    team = tmp_path / "team.yaml"
    team.write_text(PLAINLY)
    report = explore_crashes(scene(team, runs=1), seed=3)

    assert report.ok, report.differences[0].message
    assert report.writes > 5


def test_with_a_real_journal():
    assert World(scene(JUDGED, faults=every_fault(), sqlite=True, seed=5), 5).play().broken is None


# --- the account ---


def telling(threshold=0.7, on_error="refuse"):
    judge = {"judge": {"agent": "eve", "threshold": threshold, "on_error": on_error}}
    once = Policy(retries=0)
    roles = {"ann": Role(ALL, Policy(retries=1), guardrails=[judge]), "eve": Role(Scope(["judge"], ["*"], []), once)}
    return Telling(step("a"), roles=roles).begin().start("a")


def drafted(**more):
    return telling(**more).hear(e.ReplyDrafted, "a", 1, {"out.a": Raw(b"1")})


def commit(told, value=b"1", score=1.0, usage=None):
    writes = {"out.a": Raw(value)}
    return told.hear(e.AttemptCommitted, "a", 1, writes, usage=usage, score=score, scores={"judge": score})


def refuse(told, score, *effects):
    finding = (e.Finding("judge", "no"),)
    return told.hear(e.AttemptRefused, "a", 1, finding, score=score, scores={"judge": score}, effects=effects)


def judged(score, **more):
    return drafted(**more).start("a", agent="eve").hear(e.ReplyJudged, "a", 2, score)


def test_a_good_story_passes():
    told = commit(judged(0.7))
    assert told.account.states == {"a": "committed"}
    assert told.account.calls == 2


def test_a_refusal_follows_a_low_score():
    told = refuse(judged(0.2), 0.2)
    assert told.start("a", attempt=3).account.steps["a"].feedback == ("no",)


@pytest.mark.parametrize(
    ("wrong", "invariant", "message"),
    [
        (lambda: commit(drafted()), "judges", "a has a verdict before its judge"),
        (lambda: commit(drafted().start("a", agent="eve")), "judges", "a has a verdict before its judge"),
        (lambda: commit(judged(0.6)), "judges", "the scores of the draft of a"),
        (lambda: commit(judged(0.6), score=0.6), "judges", "a has a verdict that does not follow from"),
        (lambda: refuse(judged(0.9), 1.0), "judges", "a has a verdict that does not follow from"),
        (lambda: commit(judged(0.9), b"2"), "judges", "what is committed of the draft of a"),
        (lambda: refuse(judged(0.1), 0.1, PAY), "judges", "the effects that are kept of the draft of a"),
        (lambda: commit(judged(0.9), usage=msgspec.json.decode(b"{}", type=e.Usage)), "judges", "a is charged twice"),
        (lambda: telling().hear(e.ReplyJudged, "a", 1, 1.0), "judges", "a is judged, for nothing"),
        (lambda: drafted().start("a", agent="ann"), "attempts", "ann is called, not eve"),
        (
            lambda: Telling(step("a")).begin().start("a").hear(e.ReplyDrafted, "a", 1),
            "judges",
            "a waits for a judge, and has none",
        ),
    ],
)
def test_a_verdict_that_does_not_follow_is_refused(wrong, invariant, message):
    with pytest.raises(Broken) as raised:
        wrong()
    assert raised.value.invariant == invariant
    assert message in raised.value.message


@pytest.mark.parametrize(("on_error", "kind"), [("refuse", e.AttemptRefused), ("pass", e.AttemptCommitted)])
def test_what_nobody_judged_has_the_verdict_that_is_declared(on_error, kind):
    told = drafted(on_error=on_error).start("a", agent="eve").hear(e.AttemptFailed, "a", 2, "error", "no")
    if kind is e.AttemptCommitted:
        assert commit(told).account.states == {"a": "committed"}
    else:
        assert refuse(told, 0.0).account.states == {"a": "ready"}


def test_what_nobody_judged_is_not_committed():
    told = drafted().start("a", agent="eve").hear(e.AttemptFailed, "a", 2, "error", "no")
    with pytest.raises(Broken, match="a has a verdict that does not follow"):
        commit(told, score=0.0)


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        ({"score": 0.5}, e.ReplyJudged(9, "a", 2, 0.6)),
        ({"score": 0.5, "out.a": 1}, e.ReplyJudged(9, "a", 2, 0.5)),
        ({"score": 0.5, "findings": ["no"]}, e.ReplyJudged(9, "a", 2, 0.5)),
    ],
)
def test_what_is_journaled_of_a_judges_word_is_what_it_said(answer, event):
    told = judged(0.5)
    call = SimpleNamespace(answer=Reply(writes=answer), error=None, in_time=True)
    with pytest.raises(Broken) as raised:
        check_outcome(told.account, event, call)
    assert raised.value.invariant == "judges"


def test_judges_are_declared_as_in_a_team_file():
    [(_, _, judge)] = telling().rules.judges()
    assert judge == Judge(agent="eve")
