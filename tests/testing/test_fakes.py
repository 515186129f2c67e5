"""Fake agents: what each answers, when, and what it does when it is asked for more than it has."""

import asyncio
from collections import Counter
from random import Random
from statistics import median

import msgspec
import pytest
from msgspec import Raw

import interlock as il
import interlock.core.events as e
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.engine import clock
from interlock.errors import AgentCrashed, AgentError, AgentRefused, JournalError, ReplyRefused, RunNotFound
from interlock.journal.sqlite import SqliteJournal
from interlock.testing.chance import Chance
from interlock.testing.fakes import ASK_SHARE, DELETE_SHARE, Generated, Probabilistic, Recorded, Scripted, answer_of
from tests import virtual
from tests.agents.scenes import job
from tests.core.transcripts import Transcript
from tests.core.transcripts import step as plain_step
from tests.engine import stage
from tests.engine.stage import step

CALLS = 1_000
GOOD = {"out.s0": "a sentence about Amara, who is 42 years old"}


def call(agent, **given):
    """One call in virtual time: what is answered or raised, and how long it took."""

    async def main():
        try:
            answer = await answer_of(agent, job(**given))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            answer = error
        return answer, virtual.seconds()

    return virtual.run(main())


def answers(agent, **given):
    return call(agent, **given)[0]


# --- Scripted ---


def test_a_script_is_answered_line_by_line():
    reply = il.Reply(writes={"b": 2}, confidence=0.5)
    fake = Scripted({"a": 1}, reply, None)
    assert [answers(fake) for _ in range(3)] == [{"a": 1}, reply, None]


def test_a_script_may_raise():
    fake = Scripted(ValueError("bad day"), KeyboardInterrupt())
    error = answers(fake)
    assert (type(error), str(error)) == (ValueError, "bad day")
    with pytest.raises(KeyboardInterrupt):
        answers(fake)


def test_a_script_may_look_at_the_job():
    async def slowly(job):
        await asyncio.sleep(2)
        return {"seen": job.view["q"]}

    fake = Scripted(lambda job: {"attempt": job.attempt}, slowly)
    assert call(fake, attempt=3) == ({"attempt": 3}, 0.0)
    assert call(fake, view={"q": 1}) == ({"seen": 1}, 2.0)


def test_a_script_has_an_end():
    fake = Scripted({"a": 1})
    answers(fake)
    error = answers(fake)
    assert type(error) is AgentRefused
    assert error.message == "the script of ann has 1 answers; this is call 2"
    assert "script one more" in error.fix
    assert type(answers(Scripted())) is AgentRefused


def test_a_script_remembers_its_calls():
    fake = Scripted({}, ValueError())
    answers(fake, step="a")
    answers(fake, step="b")
    answers(fake, step="c")
    assert [job.step for job in fake.calls] == ["a", "b", "c"]


def test_each_line_of_a_script_takes_its_time():
    fake = Scripted({"a": 1}, ValueError(), seconds=1.5)
    assert [call(fake)[1] for _ in range(3)] == [1.5, 1.5, 1.5]


def test_concurrent_calls_have_a_line_each():
    fake = Scripted(1, 2, 3, seconds=1)

    async def main():
        return await asyncio.gather(*[fake(job(step=name)) for name in "abc"], return_exceptions=True)

    answered = virtual.run(main())
    assert len(fake.calls) == 3
    assert answered == [1, 2, 3]


# --- Recorded ---


USAGE = il.Usage(100, 20, 0.01)


async def eventful(job):
    """An agent to whom everything happens that can, each in a step of its own."""
    again = job.attempt > 1
    await asyncio.sleep(1.5)
    match job.step:
        case "deletes":
            return {"out.deletes": il.DELETE}
        case "strays" if not again:
            return il.Reply(writes={"elsewhere": {"x": 1}}, usage=USAGE)
        case "boasts" if not again:
            return il.Reply(writes={"out.boasts": 1}, confidence=7)
        case "chats" if not again:
            return "Certainly!"
        case "chats_at_a_price" if not again:
            return il.Reply(writes="Certainly!", usage=USAGE)
        case "fails" if not again:
            raise ValueError("bad day")
        case "gives_up":
            raise AgentRefused("never again")
        case "crashes" if not again:
            raise AgentCrashed("it died")
        case "hangs" if not again:
            await asyncio.sleep(60)
        case "asks":
            return il.Reply(ask=il.Question("Which one?", ("this", "that")), usage=USAGE)
    return il.Reply(
        writes={f"out.{job.step}": {"feedback": [*job.feedback], "attempt": job.attempt}},
        output={"said": ["much"]},
        usage=USAGE,
        confidence=0.75,
    )


STEPS = [
    *("writes", "deletes", "strays", "boasts", "chats", "chats_at_a_price"),
    *("fails", "gives_up", "crashes", "hangs", "asks"),
]


def eventful_team():
    return stage.team(*map(step, STEPS), retries=2)


async def run_of(agent, team=None, request=None):
    """The events of a run."""
    async with stage.engine(team or eventful_team(), agent) as engine:
        run = await engine.run(request or {"out": {"deletes": "old"}}, run_id="r")
        return await engine.journal.load(run.run_id)


def as_told(events):
    """What can be told again: a recorded agent doesn't read, and of most refused replies only the reasons are known."""
    told = []
    for event in events:
        fields = {"reads": (), "coarse": False}
        if isinstance(event, e.AttemptRefused):
            messages = tuple(e.Finding("", finding.message) for finding in event.findings)
            fields = {"reads": (), "findings": messages, "reply": e.NULL, "usage": None}
        told.append(msgspec.structs.replace(event, **{name: fields[name] for name in fields if hasattr(event, name)}))
    return told


def test_a_recorded_run_goes_the_same_way_again_and_takes_as_long():
    events = virtual.run(run_of(eventful))
    again = virtual.run(run_of(Recorded(events)))
    seen = {type(event) for event in events}
    assert {e.AttemptCommitted, e.AttemptRefused, e.AttemptFailed, e.QuestionAsked, e.StepBuried} <= seen
    assert {event.kind for event in events if isinstance(event, e.AttemptFailed)} == {
        "error",
        "timeout",
        "crash",
        "refused",
    }
    for before, after in zip(as_told(events), as_told(again), strict=True):
        assert before == after


@pytest.mark.parametrize("seed", range(10))
def test_a_recorded_timeout_times_out_again_whatever_the_order_of_timers(seed):
    team = stage.team(step("hangs"), retries=2)
    events = virtual.run(run_of(eventful, team))
    again = virtual.run(run_of(Recorded(events), team), Random(seed))
    assert as_told(again) == as_told(events)


def test_a_recorded_timeout_ends_where_nobody_waits_for_it():
    recorded = Recorded(virtual.run(run_of(eventful, stage.team(step("hangs"), retries=2))))
    error, seconds = call(recorded, step="hangs")
    assert (type(error), error.message, seconds) == (AgentError, "timed out after 5 s", 10.0)


def test_what_was_committed_is_answered_again():
    recorded = Recorded(virtual.run(run_of(eventful)))
    assert call(recorded, step="writes") == (
        il.Reply(
            writes={"out.writes": {"feedback": [], "attempt": 1}},
            output={"said": ["much"]},
            usage=USAGE,
            confidence=0.75,
        ),
        1.5,
    )
    assert answers(recorded, step="deletes").writes == {"out.deletes": il.DELETE}


def test_what_was_refused_is_answered_again():
    recorded = Recorded(virtual.run(run_of(eventful)))
    said = {name: answers(recorded, step=name) for name in ("strays", "boasts", "chats", "chats_at_a_price")}
    assert {type(error) for error in said.values()} == {ReplyRefused}
    assert [error.message for error in said.values()] == [
        "ann may not write elsewhere; it may write out.strays",
        "confidence is not a number from 0 to 1",
        "the agent returned a str; return a dict of writes or an interlock.Reply",
        "writes is a str, not a dict of dotted paths",
    ]


def test_refused_writes_are_answered_as_they_were():
    findings = e.Finding("schema", "a is no number", "a"), e.Finding("schema", "b is missing", "b")
    refused = e.AttemptRefused(3, "a", 1, findings, Raw(b'{"a":"x"}'), (), USAGE)
    recorded = Recorded([e.AttemptStarted(1, "a", 1, "ann", ""), refused])
    assert answers(recorded, step="a") == il.Reply(writes={"a": "x"}, usage=USAGE)


def test_writes_that_were_not_at_fault_are_not_committed_after_all():
    findings = e.Finding("shape", "usage is not an interlock.Usage"), e.Finding("schema", "a is no number", "a")
    recorded = Recorded(
        [e.AttemptStarted(1, "a", 1, "ann", ""), e.AttemptRefused(3, "a", 1, findings, Raw(b'{"a":1}'))]
    )
    error = answers(recorded, step="a")
    assert (type(error), error.message) == (ReplyRefused, "usage is not an interlock.Usage; a is no number")


def test_failures_keep_their_kind():
    recorded = Recorded(virtual.run(run_of(eventful)))
    said = {name: answers(recorded, step=name) for name in ("fails", "gives_up", "crashes")}
    assert [(type(error), error.retryable) for error in said.values()] == [
        (AgentError, True),
        (AgentRefused, False),
        (AgentCrashed, True),
    ]
    assert "ValueError: bad day" in said["fails"].message


def test_a_call_that_was_never_made_fails_for_good():
    recorded = Recorded(virtual.run(run_of(eventful)))
    for given in ({"step": "writes", "attempt": 2}, {"step": "unheard_of"}):
        error = answers(recorded, **given)
        assert type(error) is AgentRefused
        assert error.message == f"the recorded run has no attempt {given.get('attempt', 1)} of {given['step']}"
        assert error.fix == "record a run that goes the same way"


def test_a_lost_call_counts_as_the_one_that_replaced_it():
    started = e.AttemptStarted(1_000_000, "a", 1, "ann", "")
    again = msgspec.structs.replace(started, at_us=9_000_000)
    committed = e.AttemptCommitted(9_250_000, "a", 1, {"out.a": Raw(b"1")})
    recorded = Recorded([started, e.AttemptInterrupted(8_000_000, "a", 1), again, committed])
    assert call(recorded, step="a") == (il.Reply(writes={"out.a": 1}), 0.25)


def test_a_call_that_was_never_answered_is_no_answer():
    recorded = Recorded([e.AttemptStarted(1, "a", 1, "ann", ""), e.RunCancelled(2, "ann")])
    assert type(answers(recorded, step="a")) is AgentRefused


def test_a_recording_is_loaded_from_a_journal(tmp_path):
    path = tmp_path / "journal.db"

    async def record():
        team = stage.team(step("s0"), step("s1", "s0"))
        async with stage.engine(team, journal=SqliteJournal(path), now_us=clock.now_us) as engine:
            return (await engine.run({}, run_id="r-1")).status

    assert asyncio.run(record()) == "succeeded"
    for where in (path, str(path)):
        recorded = Recorded.load(where, "r-1")
        assert answers(recorded, step="s1").writes == {"out.s1": "done"}
    with pytest.raises(RunNotFound):
        Recorded.load(path, "r-2")
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"], "the journal was closed again"
    (tmp_path / "no.db").write_text("this is no journal")
    with pytest.raises(JournalError):
        Recorded.load(tmp_path / "no.db", "r-1")


# --- Probabilistic ---


def many(fake, count=CALLS):
    """What becomes of many calls: answers and errors, and how long each took."""

    async def main():
        found = []
        for number in range(count):
            before = virtual.seconds()
            try:
                answer = await fake(job(idempotency_key=f"key-{number}"))
            except AgentError as error:
                answer = error
            found.append((answer, virtual.seconds() - before))
        return found

    return virtual.run(main())


def share(found, wrong):
    return sum(map(wrong, found)) / len(found)


def is_error(told):
    return isinstance(told[0], AgentError)


def is_garbage(told):
    return not is_error(told) and told[0] != GOOD


def good(job):
    return dict(GOOD)


def test_without_chance_for_anything_it_is_the_agent_itself():
    found = many(Probabilistic(good, seconds=0.0), 50)
    assert all(told == (GOOD, 0.0) for told in found)


def test_the_agent_inside_may_be_async_and_is_given_its_job():
    async def inner(job):
        await asyncio.sleep(1)
        return {"out.s0": job.idempotency_key}

    assert call(Probabilistic(inner, seconds=0.0)) == ({"out.s0": "run/s0/1"}, 1.0)


def test_errors_and_garbage_come_as_often_as_declared():
    found = many(Probabilistic(good, errors=0.2, garbage=0.3))
    assert 0.15 < share(found, is_error) < 0.25
    assert 0.19 < share(found, is_garbage) < 0.29, "three in ten of the eight in ten that don't fail"
    errors = {str(answer) for answer, _ in found if isinstance(answer, AgentError)}
    assert errors == {"the agent failed by chance"}


def test_an_agent_may_always_fail_or_always_answer_garbage():
    assert share(many(Probabilistic(good, errors=1.0), 100), is_error) == 1
    refused = [answer for answer, _ in many(Probabilistic(good, refusals=0.5), 100) if isinstance(answer, AgentRefused)]
    assert 30 < len(refused) < 70
    assert {str(error) for error in refused} == {"the agent refused by chance"}
    assert share(many(Probabilistic(good, garbage=1.0), 100), is_garbage) > 0.9
    kinds = Counter(type(answer).__name__ for answer, _ in many(Probabilistic(good, garbage=1.0), 200))
    assert len(kinds) > 3, "garbage of many kinds"


def test_calls_take_a_log_normal_time():
    times = [seconds for _, seconds in many(Probabilistic(good, seconds=2.0, spread=0.5))]
    assert 1.85 < median(times) < 2.15
    quick, slow = sorted(times)[CALLS * 16 // 100], sorted(times)[CALLS * 84 // 100]
    assert 1.05 < quick < 1.4, "one sigma below: 2 / e ** 0.5"
    assert 2.9 < slow < 3.7, "one sigma above: 2 * e ** 0.5"


def test_a_spread_of_0_takes_the_same_time_each_time():
    assert {round(seconds, 9) for _, seconds in many(Probabilistic(good, seconds=2.0, spread=0.0), 20)} == {2.0}


def test_what_drifts_gets_worse():
    fake = Probabilistic(good, drift=0.001)
    found = many(fake)
    assert fake.calls == CALLS
    early, late = found[: CALLS // 4], found[-CALLS // 4 :]
    assert share(early, is_garbage) < 0.22
    assert share(late, is_garbage) > 0.7
    assert not share(many(Probabilistic(good), 200), is_garbage)


def test_the_same_seed_has_the_same_luck():
    def luck(seed):
        return repr(many(Probabilistic(good, errors=0.3, garbage=0.3, seed=seed), 100))

    assert luck(1) == luck(1)
    assert luck(1) != luck(2)


def test_the_luck_of_a_call_hangs_on_its_key_and_not_on_the_order():
    def luck(keys):
        fake = Probabilistic(good, errors=0.3, garbage=0.3, seed=1)
        return {key: repr(call(fake, idempotency_key=key)) for key in keys}

    keys = [f"run/s0/{number}" for number in range(50)]
    assert luck(keys) == luck(reversed(keys))


# --- Generated ---


def team_of_two(**policy):
    def role(least, most, **more):
        number = {"type": "integer", "minimum": least, "maximum": most}
        values = {"type": "object", "required": ["n"], "properties": {"n": number}}
        schema = {"properties": {"out.a": values}, "required": ["out.a"]}
        return Role(Scope(["act"], ["*"], ["out"]), Policy(**policy), schema=schema, **more)

    roles = {"ann": role(0, 3, fallback="eve"), "eve": role(4, 7)}
    said = Transcript(plain_step("a", writes=["out.a"]), roles=roles)
    said.begin()
    said.start("a")
    return said


@pytest.mark.parametrize("seed", range(20))
def test_generated_replies_are_accepted(seed):
    said = team_of_two()
    fake = Generated(said.rules)
    reply = fake.reply(said.jobs["a"], Random(seed))
    assert reply.writes["out.a"]["n"] <= 3
    assert 0 <= reply.confidence <= 1
    assert reply.usage.usd is not None
    assert said.reply("a", reply) == ["succeeded"]


def test_a_fallback_has_replies_of_its_own():
    said = team_of_two(retries=0)
    fake = Generated(said.rules)
    assert fake.reply(said.jobs["a"], Random(1)).writes["out.a"]["n"] <= 3
    said.say(said.judge("a", "garbage"))
    said.start("a")
    assert said.jobs["a"].agent == "eve"
    reply = fake.reply(said.jobs["a"], Random(1))
    assert 4 <= reply.writes["out.a"]["n"] <= 7
    assert said.reply("a", reply) == ["succeeded"]


def test_generated_replies_are_the_same_under_the_same_seed():
    said = team_of_two()
    job = said.jobs["a"]

    def replies(seed):
        fake, random = Generated(said.rules), Random(seed)
        return [fake.reply(job, random) for _ in range(5)]

    assert replies(1) == replies(1)
    assert replies(1) != replies(2)


def seeded(seed=1, *, calm=False, label=str, **given):
    """What a generated agent of this simulation answers, and how long it took."""
    said = team_of_two()
    code = Generated(said.rules).seeded(Chance(seed), label, calm=calm)
    return call(code, **{"step": "a", "attempt": 1, **given})


def test_in_a_simulation_its_answers_hang_on_run_step_and_attempt():
    assert seeded() == seeded()
    assert seeded(run_id="r-1", label=lambda run_id: "run") == seeded(run_id="r-2", label=lambda run_id: "run")
    others = [seeded(2), seeded(run_id="other"), seeded(attempt=2)]
    assert all(other[0] != seeded()[0] for other in others)


def test_in_a_simulation_it_takes_less_than_its_timeout_and_none_when_calm():
    times = [seeded(seed)[1] for seed in range(60)]
    assert 0 < max(times) < 5.0
    assert times.count(0.0) > 5
    assert {seeded(seed, calm=True)[1] for seed in range(20)} == {0.0}


def looking(seed, **given):
    """The job that was handed to a generated agent, after it has answered."""
    said = Transcript(
        plain_step("a", writes=["out.a"]),
        plain_step("b", needs=["a"], writes=["out.b"]),
        roles={"ann": Role(Scope(["act"], ["q"], ["out"]))},
        request={"q": [1, 2]},
    )
    said.begin()
    said.start("a")
    job = msgspec.structs.replace(said.jobs["a"], **given)
    virtual.run(answer_of(Generated(said.rules).seeded(Chance(seed), str, calm=True), job))
    return job


def test_in_a_simulation_it_reads_all_that_it_is_shown_or_a_few_fields_by_name():
    views = [looking(seed).view for seed in range(50)]
    assert 10 < sum(view.coarse for view in views) < 50
    assert {path for view in views if not view.coarse for path in view.reads} == {"out.a", "out.b"}


def test_in_a_simulation_it_writes_into_what_it_is_handed():
    def handed(seed):
        return looking(seed, item=["one", {"two": 2}])

    job = next(job for job in map(handed, range(50)) if job.view.coarse)
    assert job.item == []
    assert job.view["q"] == [1, 2], "which nobody else sees"


def test_now_and_then_it_deletes_what_it_need_not_write():
    schema = {"properties": {path: {"type": "string"} for path in ("out.x", "out.y")}, "required": ["out.x"]}
    roles = {"ann": Role(Scope(["act"], [], ["out"]), schema=schema)}
    said = Transcript(plain_step("a", writes=["out.x", "out.y"]), roles=roles)
    said.begin()
    said.start("a")
    fake = Generated(said.rules)
    writes = [fake.reply(said.jobs["a"], Random(seed)).writes for seed in range(400)]
    deleted = [path for one in writes for path, value in one.items() if value is il.DELETE]
    assert 1 <= len(deleted) < 400 * DELETE_SHARE
    assert set(deleted) == {"out.y"}, "the other one is required"


def test_now_and_then_it_says_something_beside_its_writes():
    said = team_of_two()
    outputs = [Generated(said.rules).reply(said.jobs["a"], Random(seed)).output for seed in range(100)]
    assert 10 < outputs.count(None) < 90
    assert all(type(output["said"]) is str for output in outputs if output is not None)


def test_in_a_simulation_it_asks_a_person_now_and_then():
    asked = [answer.ask for answer in (seeded(seed, calm=True)[0] for seed in range(1_500)) if answer.ask]
    assert 1 <= len(asked) <= 5 * 1_500 * ASK_SHARE
    assert asked[0] == il.Question("What shall a do?", ("go on", "stop"))
