"""People are told what waits for them: once, after it is durable, again and again until it comes through, past runs."""

import asyncio
import logging

import pytest

import interlock as il
from interlock.engine import notifier as notifying
from interlock.engine.notifier import CLOSE_SECONDS, KEPT_DAYS, PAUSE_SECONDS, POLL_SECONDS, TAKEN_US, Notifier
from interlock.errors import AccessDenied, JournalUnavailable, MissingExtra
from interlock.journal.memory import MemoryJournal, MemoryStore
from tests import virtual

from .stage import Ann, SlowJournal, chain, engine, fan, step, story, team

ALL = ("question", "dead", "breaker")
BREAKER = {"trip_after": 2, "cooldown": "30s", "half_open_calls": 1}


class Phone:
    """A recipient. faults: raised, first come, first served; takes: how long a delivery takes."""

    reasons = False

    def __init__(self, name="phone", *faults, takes=0.0):
        self.name, self.faults, self.takes = name, [*faults], takes
        self.messages, self.at, self.unready = [], [], None
        self.tries = 0

    def check(self):
        if self.unready is not None:
            raise self.unready

    async def deliver(self, message):
        self.tries += 1
        await asyncio.sleep(self.takes)
        if self.faults:
            raise self.faults.pop(0)
        self.messages.append(message)
        self.at.append(virtual.seconds())

    @property
    def told(self):
        """What it was told, as (kind, step) of each notice."""
        return [(one.kind, one.step or one.agent) for message in self.messages for one in message.notices]


def notified(*phones, on=ALL, **given):
    return Notifier(phones, {phone.name: on for phone in phones}, team="t", shown="desk", **given)


def running(of, agent, store, *phones, journal=None, on=ALL, **given):
    journal = journal or MemoryJournal(store)
    return engine(of, agent, journal=journal, notifier=notified(*phones, on=on), **given)


async def asking(job):
    if job.answer:
        return {f"out.{job.step}": job.answer}
    return il.Reply(ask=il.Question("Refund?", ("yes", "no"))) if job.step == "s0" else {f"out.{job.step}": "done"}


async def failing(job):
    raise il.AgentRefused("iban DE12 is bad")


# --- what is told ---


def test_a_question_is_told_to_everybody_who_wants_it():
    async def main():
        one, other, deaf = Phone("one"), Phone("other"), Phone("deaf")
        wanted = {"one": ALL, "other": ("question",), "deaf": ("dead", "breaker")}
        heard = Notifier([one, other, deaf], wanted, team="t", shown="desk")
        async with engine(chain(2), asking, notifier=heard) as desk:
            run = await desk.run({}, run_id="r")
            await asyncio.sleep(1)
        return run, one, other, deaf

    run, one, other, deaf = virtual.run(main())
    assert run.status == "parked"
    assert one.told == other.told == [("question", "s0")]
    assert deaf.messages == []
    [message] = one.messages
    [notice] = message.notices
    assert (notice.run_id, notice.attempt, notice.agent, notice.text) == ("r", 1, "ann", "Refund?")
    assert (notice.choices, notice.verbs) == (("yes", "no"), ("answer", "write", "retry", "reject"))
    assert (notice.due_us, notice.then) == (0, "")
    assert message.title == "desk: s0 waits for a person"
    assert "interlock inbox show r/s0" in message.text


def test_a_deadline_and_what_comes_after_it_are_told():
    async def main():
        phone = Phone()
        of = team(step("s0"), escalate={"deadline": "2h", "then": "default", "default": {"out.s0": 1}})
        async with running(of, asking, None, phone) as desk:
            await desk.run({})
            await asyncio.sleep(1)
        return phone

    [message] = virtual.run(main()).messages
    [notice] = message.notices
    assert (notice.due_us - notice.at_us, notice.then) == (2 * 3_600_000_000, "default")


def test_an_escalated_step_is_told_without_what_was_said_in_it():
    async def main():
        phone, other = Phone(), Phone("other")
        other.reasons = True
        async with running(team(step("s0"), escalate=True), failing, None, phone, other) as desk:
            await desk.run({})
            await asyncio.sleep(1)
        return phone, other

    phone, other = virtual.run(main())
    [message], [told_why] = phone.messages, other.messages
    assert phone.told == other.told == [("question", "s0")]
    assert "all its attempts have failed" in message.text
    assert "DE12" not in f"{message}"
    assert "DE12" in told_why.text
    assert "DE12" in told_why.notices[0].reason


def test_a_budget_that_is_spent_is_told_of_with_what_was_spent():
    async def main():
        phone = Phone()
        async with running(chain(2, budget={"calls": 1, "when_spent": "ask"}), None, None, phone) as desk:
            assert (await desk.run({})).status == "parked"
            await asyncio.sleep(1)
        return phone

    [message] = virtual.run(main()).messages
    [notice] = message.notices
    assert (notice.step, notice.verbs) == ("s1", ("approve", "write", "retry", "reject"))
    assert "1 call" in notice.text
    assert notice.text in message.text.replace("\n", " ")


def test_an_effect_whose_outcome_nobody_knows_is_told_of_without_what_was_said():
    class Post:
        slots = None

        async def perform(self, payload, key, began):
            began()
            raise ValueError("iban DE12 timed out")

        async def close(self):
            pass

    async def paying(job):
        return il.Reply(effects=[il.Effect("pay", key="k-DE12")])

    async def main():
        phone = Phone()
        scope = il.Scope(["act", "pay"], ["*"], ["*"])
        ann = il.Agent("ann", scope=scope)
        of = il.Team([ann], il.Plan([step("s0")]), effects={"pay": "bank:pay"})
        async with running(of, paying, None, phone, performers={"pay": Post()}) as desk:
            assert (await desk.run({})).status == "parked"
            await asyncio.sleep(1)
        return phone

    [message] = virtual.run(main()).messages
    assert '"its effect pay waits for a person"' in message.text
    assert message.notices[0].verbs == ("answer", "reject")
    assert "DE12" not in f"{message}"


def test_a_dead_letter_is_told_of_to_whoever_wants_that():
    async def main():
        phone, deaf = Phone(), Phone("deaf")
        heard = Notifier([phone, deaf], {"phone": ("dead",), "deaf": ("question", "breaker")}, team="t")
        async with engine(chain(1), failing, notifier=heard) as desk:
            assert (await desk.run({})).status == "failed"
            await asyncio.sleep(1)
        return phone, deaf

    phone, deaf = virtual.run(main())
    assert phone.told == [("dead", "s0")]
    assert "DE12" not in f"{phone.messages}"
    assert phone.messages[0].notices[0].attempt == 1
    assert deaf.messages == []


def test_a_breaker_that_opens_is_told_of_once_however_often_it_tries_again():
    async def main():
        phone, ann = Phone(), Ann()
        ann.faults["s0"] = [ValueError("no")] * 5
        of = team(step("s0"), breaker=BREAKER, retries=4, backoff="1s")
        async with running(of, ann, None, phone, on=("breaker",)) as desk:
            assert (await desk.run({})).status == "failed"
            await asyncio.sleep(60)
            moves = [moved.to for _, at in await desk.journal.gates() for moved in at.moved]
        return phone, moves

    phone, moves = virtual.run(main())
    assert moves.count("open") > 1
    assert phone.told == [("breaker", "ann")]


def test_nothing_is_told_where_nobody_wants_to_know():
    async def main():
        store = MemoryStore()
        async with engine(chain(1), asking, journal=MemoryJournal(store)) as desk:
            await desk.run({})
        return store.notices

    assert virtual.run(main()) == {}


def test_a_question_that_was_cancelled_with_its_run_is_not_told():
    async def main():
        phone, store = Phone(), MemoryStore()

        async def slowly(job):
            await asyncio.sleep(0.2 if job.step == "s0" else 0)
            return await asking(job)

        async with running(fan(2), slowly, store, phone, journal=SlowJournal(store, 1.0)) as desk:
            task = asyncio.create_task(desk.run({}, run_id="r"))
            await asyncio.sleep(1.5)  # s0 has asked, while the commit of s1 is under way
            await desk.cancel("r")
            await task
            await asyncio.sleep(60)
            assert "QuestionAsked s0" in await story(desk, "r")
        return phone, store

    phone, store = virtual.run(main())
    assert phone.messages == []
    assert store.notices == {}


# --- once ---


def test_a_resume_tells_nobody_again():
    async def main():
        store, phone = MemoryStore(), Phone()
        async with running(chain(2), asking, store, phone) as desk:
            await desk.run({}, run_id="r")
            await asyncio.sleep(1)
        for _ in range(3):
            async with running(chain(2), asking, store, phone) as desk:
                [_ async for _ in desk.resume()]
                await desk.resume_run("r")
                await asyncio.sleep(100)
        return phone, store

    phone, store = virtual.run(main())
    assert phone.told == [("question", "s0")]
    assert store.notices == {}


def test_two_processes_tell_a_thing_once():
    async def main():
        store, phone = MemoryStore(), Phone(takes=5.0)
        async with running(chain(1), asking, store, phone) as desk, running(chain(1), asking, store, phone):
            await desk.run({})
            await asyncio.sleep(100)
        return phone

    assert virtual.run(main()).told == [("question", "s0")]


def test_a_step_that_is_given_up_again_is_told_of_again():
    async def main():
        phone = Phone()
        async with running(chain(1), failing, None, phone) as desk:
            await desk.run({}, run_id="r")
            await asyncio.sleep(60)
            await desk.redrive("r")
            await asyncio.sleep(60)
        return phone

    phone = virtual.run(main())
    assert [message.notices[0].attempt for message in phone.messages] == [1, 2]


def test_what_is_over_meanwhile_is_not_told():
    async def main():
        phone, store = Phone("phone"), MemoryStore()
        phone.unready = AccessDenied("there is no PHONE")
        async with running(chain(1), asking, store, phone) as desk:
            await desk.run({}, run_id="answered")
            await desk.run({}, run_id="open")
            await desk.decide("answered", "s0", "answer", text="yes", by="eve")
            phone.unready = None
            await asyncio.sleep(100)
        return phone, store

    phone, store = virtual.run(main())
    assert [notice.run_id for message in phone.messages for notice in message.notices] == ["open"]
    assert store.notices == {}


def test_a_letter_that_is_redriven_meanwhile_is_not_told():
    async def main():
        phone, ann = Phone("phone"), Ann()
        ann.faults["s0"] = [ValueError("no")]
        phone.unready = AccessDenied("there is no PHONE")
        async with running(chain(1), ann, None, phone) as desk:
            await desk.run({}, run_id="r")
            assert (await desk.redrive("r")).status == "succeeded"
            phone.unready = None
            await asyncio.sleep(100)
        return phone

    assert virtual.run(main()).messages == []


# --- until it comes through ---


def test_a_failed_delivery_is_tried_again_ever_more_rarely_and_told_of_once(caplog):
    async def main():
        phone = Phone("phone", *[ValueError("HTTP 500")] * 4)
        async with running(chain(1), asking, None, phone) as desk:
            await desk.run({})
            await asyncio.sleep(500)
            assert desk.journal.store.notices == {}
        return phone

    caplog.set_level(logging.INFO, "interlock")
    phone = virtual.run(main())
    assert phone.told == [("question", "s0")]
    assert phone.at[0] == pytest.approx(5 + 10 + 20 + 40, abs=2)
    wrong, right = [record.getMessage() for record in caplog.records]
    assert wrong.startswith("phone can't be told what waits for people: ValueError: HTTP 500")
    assert wrong.endswith("; it is tried again, for 7 days")
    assert right == "phone is told again what waits for people"


def test_a_crash_before_delivery_loses_nothing():
    async def main():
        store, phone, heir = MemoryStore(), Phone(takes=3.0), Phone()
        journal = SlowJournal(store)
        desk = running(chain(1), asking, store, phone, journal=journal)
        await desk.__aenter__()
        await desk.run({}, run_id="r")
        await asyncio.sleep(1)
        journal.closed = True
        journal.alive = False  # as by kill -9, in the middle of the delivery
        async with running(chain(1), asking, store, heir) as after:
            await after.resume_run("r")
            await asyncio.sleep(TAKEN_US / 1e6 + 2 * POLL_SECONDS)
        return heir, store

    heir, store = virtual.run(main())
    assert heir.told == [("question", "s0")]
    assert store.notices == {}


def test_a_notice_of_an_append_that_fails_is_never_told():
    async def main():
        store, phone = MemoryStore(), Phone()
        journal = SlowJournal(store)
        async with running(chain(1), asking, store, phone, journal=journal) as desk:
            task = asyncio.create_task(desk.run({}))
            await asyncio.sleep(0.005)
            journal.fault = JournalUnavailable("gone")
            with pytest.raises(JournalUnavailable):
                await task
            await asyncio.sleep(60)
        return phone, store

    phone, store = virtual.run(main())
    assert phone.messages == []
    assert store.notices == {}


@pytest.mark.parametrize("error", [AccessDenied("there is no PHONE", fix="set it"), MissingExtra("no apprise")])
def test_who_cannot_be_told_here_uses_up_nothing_and_is_named_once(error, caplog):
    async def main():
        store, phone = MemoryStore(), Phone()
        phone.unready = error
        async with running(chain(1), asking, store, phone) as desk:
            await desk.run({})
            await asyncio.sleep(1_000)
            [waits] = store.notices.values()
            assert waits.due_us == 0
        phone.unready = None
        async with running(chain(1), asking, store, phone):
            await asyncio.sleep(1)
        return phone

    assert virtual.run(main()).told == [("question", "s0")]
    assert [record.getMessage() for record in caplog.records] == [f"phone can't be told what waits for people: {error}"]


def test_what_nobody_could_deliver_for_a_week_is_given_up_and_said(caplog):
    async def main():
        phone = Phone("phone", *[ValueError("gone")] * 10_000)
        async with running(chain(1), asking, None, phone) as desk:
            await desk.run({})
            await asyncio.sleep((KEPT_DAYS + 1) * 86_400)
            assert desk.journal.store.notices == {}
            tries = phone.tries
            await asyncio.sleep(86_400)
            assert phone.tries == tries
        return tries

    assert 7 * 48 <= virtual.run(main()) < 7 * 48 + 20
    assert len(caplog.records) == 2
    assert caplog.records[1].getMessage() == "1 notices of desk could not be delivered for 7 days: given up"


def test_what_others_have_left_is_delivered():
    async def main():
        store, phone, gone = MemoryStore(), Phone(), Phone()
        gone.unready = AccessDenied("not here")
        async with running(chain(1), asking, store, phone):
            await asyncio.sleep(5)
            async with running(chain(1), asking, store, gone) as other:
                await other.run({})
            await asyncio.sleep(POLL_SECONDS + 1)
        return phone

    assert virtual.run(main()).told == [("question", "s0")]


# --- a bad hour ---


def test_what_comes_close_together_shares_a_message():
    async def main():
        phone = Phone()
        async with running(fan(40), failing, None, phone) as desk:
            await desk.run({})
            await asyncio.gather(*(desk.run({}) for _ in range(20)))
            await asyncio.sleep(PAUSE_SECONDS * 10)
        return phone

    phone = virtual.run(main())
    assert len(phone.told) == 21 * 40
    assert len(phone.messages) <= 6
    assert all(later - earlier >= PAUSE_SECONDS for earlier, later in zip(phone.at, phone.at[1:], strict=False))


def test_a_hanging_server_holds_up_neither_runs_nor_others_nor_the_end():
    async def main():
        hanging, phone = Phone("hanging", takes=1e6), Phone()
        async with running(chain(2), asking, None, hanging, phone) as desk:
            began = virtual.seconds()
            for _ in range(20):
                await desk.run({})
            assert virtual.seconds() - began < 0.1
            await asyncio.sleep(60)
            assert len(phone.told) == 20
            assert hanging.tries <= 4
            began = virtual.seconds()
        assert virtual.seconds() - began <= CLOSE_SECONDS + 0.1
        return desk.journal.store.notices

    assert {one.taken.recipient for one in virtual.run(main()).values()} == {"hanging"}


def test_the_end_waits_for_what_has_just_been_posted_and_not_for_long():
    async def main():
        quick, slow, failed = Phone("quick", takes=2.0), Phone("slow", takes=18.0), Phone("failed", *[ValueError()] * 9)
        store = MemoryStore()
        async with running(chain(1), asking, store, quick, slow, failed) as desk:
            await desk.run({})
            began = virtual.seconds()
        assert virtual.seconds() - began == pytest.approx(CLOSE_SECONDS, abs=0.1)
        return quick, slow, failed, sorted(one.taken.recipient for one in store.notices.values())

    quick, slow, failed, left = virtual.run(main())
    assert (quick.told, slow.told, failed.tries) == ([("question", "s0")], [], 1)
    assert left == ["failed", "slow"]


def test_the_end_of_an_engine_with_nothing_to_tell_takes_no_time():
    async def main():
        async with running(chain(1), None, None, Phone()) as desk:
            await desk.run({})
            began = virtual.seconds()
        return virtual.seconds() - began

    assert virtual.run(main()) < 0.01


def test_the_end_delivers_all_that_there_is(monkeypatch):
    monkeypatch.setattr(notifying, "TOGETHER_MAX", 7)

    async def main():
        phone = Phone()
        async with running(fan(30), failing, None, phone) as desk:
            await desk.run({})
        return phone

    assert len(virtual.run(main()).told) == 30


def test_a_recipient_that_goes_on_after_its_time_is_not_called_meanwhile(caplog):
    class Stubborn(Phone):
        async def deliver(self, message):
            self.tries += 1
            until = virtual.seconds() + 200
            while virtual.seconds() < until:
                try:
                    await asyncio.sleep(until - virtual.seconds())
                except asyncio.CancelledError:
                    continue
            raise ValueError("too late for anybody")

    async def main():
        phone = Stubborn()
        async with running(chain(1), asking, None, phone) as desk:
            await desk.run({})
            await asyncio.sleep(150)
            assert phone.tries == 1
            await asyncio.sleep(200)
            assert phone.tries == 2
        await asyncio.sleep(1_000)

    virtual.run(main())
    assert "no answer within 20 s" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopAsyncIteration()])
def test_whatever_a_recipient_raises_harms_nobody(error, caplog):
    async def main():
        phone = Phone("phone", error)
        async with running(chain(1), asking, None, phone) as desk:
            await desk.run({})
            await asyncio.sleep(60)
        return phone

    assert virtual.run(main()).told == [("question", "s0")]
    assert "phone can't be told" in caplog.text


@pytest.mark.parametrize("error", [JournalUnavailable("busy"), ValueError("a damaged row")])
def test_a_journal_that_fails_delays_what_is_told(error):
    class Shaky(MemoryJournal):
        fails = 2

        async def take_notices(self, *given):
            if self.fails:
                self.fails -= 1
                raise error
            return await super().take_notices(*given)

    async def main():
        phone = Phone()
        async with running(chain(1), asking, None, phone, journal=Shaky()) as desk:
            await desk.run({})
            await asyncio.sleep(3 * POLL_SECONDS)
        return phone

    assert virtual.run(main()).told == [("question", "s0")]
