"""What must be true of questions: what people are asked, who decides, and what follows from that or from a deadline."""

from interlock.core import events as e
from interlock.core.effects import GIVE_UP, PAYLOAD_CHARS_TOLD
from interlock.core.states import TERMINAL
from interlock.errors import cut_short

from .approvals import plan_answered, plan_asked, plan_refused
from .budgets import wrong_with
from .commits import commit
from .conflicts import is_for_a_person
from .known import Known, StepAccount
from .payment import charge, outcome
from .performing import forget_waits, held_up_by, is_waited_for, perform, settle
from .progress import end, require_turn

# What a person does who has an agent that asks try again.
_ADVISED = "not answered your question, but advises you"


def question_asked(run: Known, event: e.QuestionAsked) -> None:
    """An agent asks a person, or a person is asked about an effect."""
    one, name = run.step(event.step), event.step
    if e.says(event.plan):
        plan_asked(run, event)
        return
    known = run.effects.known.get((name, event.effect))
    if not event.effect or one.open:
        waits = known is not None and run.effects.lacks_approval(known) and known.key in run.waited.get(name, ())
        run.require("effects_approved", waits or not event.effect, f"{name} asks for approval, and needs none")
        one = outcome(run, event)
        one.state, one.asked, one.due_us = "escalated", "" if event.effect else event.question.text, event.due_us
        one.about = event.effect
        forget_waits(run, name)
        charge(run, event)
        return
    one.due_us, one.about = event.due_us, event.effect
    if known is not None and run.effects.may_go_on(known) and run.effects.lacks_approval(known):
        before = [effect for effect in run.effects.of(name) if is_waited_for(run, name, effect) or effect.open]
        in_turn = one.state == "performing" and bool(before) and before[0] is known
        run.require("effects_approved", in_turn, f"{name} asks for approval of {event.effect} out of turn")
        one.state = "escalated"
        return
    stuck = held_up_by(run, name)
    if one.state == "waiting":
        require_turn(run, event.step, "asked about")
    idle = one.state in {"performing", "ready", "waiting"}
    run.require("once", idle, f"{event.step} asks although it is {one.state}")
    asks = any(effect.key == event.effect and run.effects.asks(effect) for effect in stuck)
    run.require("effects_unknown", asks, f"{event.step} asks a person about {event.effect}")
    one.state = "escalated"


def step_escalated(run: Known, event: e.StepEscalated) -> None:
    """A step asks people what its agents could not do, or for more of a budget."""
    one, name = run.step(event.step), event.step
    run.require("once", one.state not in TERMINAL, f"{name} is escalated although it is {one.state}")
    declared = run.rules.escalations[one.number]
    run.require("people", event.budget == one.short, f"{name} asks for its {event.budget}, not its {one.short}")
    if not event.budget:
        stuck = one.given_up or is_for_a_person(run, one)
        run.require("attempts", stuck, f"{name} is escalated with attempts left")
        asks = declared is not None or name in run.handed
        run.require("people", asks, f"{name} is escalated, which it doesn't declare")
    deadline_us = 1_000 * declared.deadline_ms if declared is not None else 0
    due_us = event.at_us + deadline_us if deadline_us else 0
    run.require("people", event.due_us == due_us, f"the question of {name} is open until {event.due_us}")
    one.state, one.asked, one.due_us, one.given_up = "escalated", "", event.due_us, False
    one.about = ""


def question_answered(run: Known, event: e.QuestionAnswered) -> None:
    """A person has decided about a step that waits."""
    one, name = run.step(event.step), event.step
    waits = one.state == "escalated" and one.attempt == event.attempt
    run.require("people", waits, f"{name} is decided about, but it does not wait: it is {one.state}")
    run.require("people", event.by.startswith("person:"), f"{event.by} decides about {name}, and is no person")
    run.status, run.reason = "running", ""
    is_short, one.short = bool(one.short), ""
    if e.says(event.plan):
        plan_answered(run, event, one)
        return
    run.proposed.pop(name, None)
    if event.effect:
        _effect_approved(run, event, one)
        return
    if event.decision == "reject" and plan_refused(run, one):
        return
    if event.decision in {"approve", "edit", "write"}:
        _reply_taken(run, event, one, is_short=is_short)
        return
    if one.about and event.decision == "answer" and event.text != GIVE_UP:
        run.effects.answered(name, one.about, event.text)
        one.state = "performing" if name in run.outbox else "ready"
        settle(run, name)
        return
    run.require("people", not event.writes and not event.deletes, f"to {event.decision} {name} commits nothing")
    if event.decision == "skip":
        run.require("people", not one.about, f"{name} is skipped, and its effect {one.about} is not settled")
        end(run, name, "skipped")
        return
    one.reissue = one.reissue and not is_short
    if is_short and event.decision == "reject" and one.link + 1 < len(one.duties):
        one.link, one.tries, one.failures, one.first_us, one.state = one.link + 1, 0, 0, -1, "ready"
        return
    one.state, one.given_up = "ready", event.decision == "reject" or bool(one.about)
    one.buried = one.given_up
    if run.declared(one).reconcile is not None and not one.asked and event.decision == "answer":
        one.ruling = event.by, event.text
    elif not one.about and event.decision in {"answer", "retry"}:
        _advised(event, one)


def _reply_taken(run: Known, event: e.QuestionAnswered, one: StepAccount, *, is_short: bool) -> None:
    """A person lets a reply be committed as it is, or writes one."""
    name = event.step
    run.require("people", not one.about, f"to {event.decision} {name} says nothing about its effect")
    fits = not is_short or event.decision == "write"
    run.require("people", fits, f"to {event.decision} {name} says nothing about its budget")
    commit(run, one, event)
    kept = one.refused_effects if event.decision == "approve" else ()
    run.require_same("people", f"the effects that are approved with {name}", event.effects, kept)
    for wanted in event.effects:
        run.effects.asked(name, wanted.effect, wanted.key, wanted.payload, one.duty.effects)
        run.effects.known[name, wanted.key].approved = True
    perform(run, name, *(wanted.key for wanted in event.effects))


def _advised(event: e.QuestionAnswered, one: StepAccount) -> None:
    """A person has an agent try again, with an answer or advice."""
    if event.decision == "answer" or not one.asked:
        one.answer = event.text or one.answer
    if one.asked:
        one.tries, one.first_us = one.tries - 1, -1
        did = "answered your question" if event.decision == "answer" else _ADVISED
        one.feedback = (f"A person has {did}: {one.asked}", event.text) if event.text else ()
    else:
        one.tries = one.failures = one.link = one.lost = 0
        one.first_us = -1
        one.feedback += ("A person advises:", event.text) if event.text else ()


def _effect_approved(run: Known, event: e.QuestionAnswered, one: StepAccount) -> None:
    fits = event.decision == "approve" and event.effect == one.about and not event.writes and not event.deletes
    run.require("people", fits, f"{event.step} waits for {one.about}, and not for {event.effect}")
    run.effects.approved(event.step, event.effect)
    one.state = "performing" if event.step in run.outbox else "ready"
    if one.state == "ready":
        effect = run.effects.known[event.step, event.effect]
        name = effect.effect if effect.key == effect.effect else f"{effect.effect} ({effect.key})"
        told = f"A person has approved the effect {name}: ask for it again with the same payload, "
        told += cut_short(effect.payloads[-1].decode(), PAYLOAD_CHARS_TOLD)
        one.feedback = (*(sentence for sentence in one.feedback if sentence != told), told)
        one.tries -= 1


def question_expired(run: Known, event: e.QuestionExpired) -> None:
    """Nobody has decided in time."""
    one, name = run.step(event.step), event.step
    waits = one.state == "escalated" and one.attempt == event.attempt
    run.require("people", waits, f"the question of {name} expires, but it does not wait: it is {one.state}")
    late = one.due_us and (event.at_us >= one.due_us or not run.clock_is_steady)
    run.require("people", late, f"the question of {name} expires before its deadline")
    if plan_refused(run, one):
        run.status, run.reason = "running", ""
        return
    declared = run.rules.escalations[one.number]
    if run.proposed.pop(name, None) is not None:
        run.require("people", event.then == "dead", f"what {name} has decided is approved by nobody")
        run.status, run.reason = "running", ""
        one.state, one.given_up, one.buried = "ready", True, True
        return
    ways = {"dead"} if one.about and name in run.outbox else {declared.then if declared else "", "dead"}
    fits = declared is not None and event.then in ways
    run.require("people", fits, f"the question of {name} expires, then {event.then}, which it doesn't declare")
    run.status, run.reason = "running", ""
    if event.then == "default":
        commit(run, one, event)
        perform(run, name)
        return
    one.state = "ready"
    one.short = ""
    if event.then == "fallback":
        one.link, one.tries, one.failures, one.first_us, one.reissue = one.link + 1, 0, 0, -1, False
    one.given_up = one.buried = event.then == "dead" or one.link >= len(one.duties)


def budget_raised(run: Known, event: e.BudgetRaised) -> None:
    """A person has approved more of a budget, for all that wait for it."""
    one = run.step(event.step)
    budget, whose = run.budget_at(event.budget, one.duty)
    wrong = wrong_with(event, budget, whose)
    run.require("people", not wrong, f"the budget of {event.step} is raised, but {wrong}")
    for name in (event.step, *event.others):
        other = run.step(name)
        waits = other.state == "escalated" and other.short == event.budget
        same = run.budget_at(event.budget, other.duty)[1] == whose
        run.require("people", waits and same, f"{name} goes on with more, but it is {other.state}")
        other.state, other.short, other.first_us = "ready", "", -1
    if budget is not None and not budget.daily:
        run.budgets[whose].raised(event)
    run.status, run.reason = "running", ""
