"""What people are told of a run, and of a breaker: who wants to know of it, and what that is."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from interlock.core import events as e
from interlock.core.gate import AtGate
from interlock.core.machine import Machine
from interlock.core.notice import TEXT_CHARS_MAX, Kind, Notice, opened
from interlock.errors import cut_short
from interlock.ports import NOTHING_POSTED, Posting, Result

CHOICES_MAX = 12
CHOICE_CHARS_MAX = 60
_TOLD = frozenset({e.QuestionAsked, e.StepEscalated, e.StepBuried})


def _unheard() -> None:
    pass


class Noticing:
    """Who is told of what. team: the name by which its notices are kept. wanted: recipient -> the kinds it wants.

    posted: called when something may have been posted, and is durable.
    """

    def __init__(self, team: str, wanted: Mapping[str, Sequence[Kind]]) -> None:
        self.team = team
        self.posted: Callable[[], None] = _unheard
        self._recipients = {
            kind: [name for name, kinds in wanted.items() if kind in kinds]
            for kind in dict.fromkeys(kind for kinds in wanted.values() for kind in kinds)
        }

    def of_facts(self, run_id: str, machine: Machine, facts: Sequence[e.AnyEvent]) -> Posting:
        """What is told of facts, which the machine has folded."""
        if _TOLD.isdisjoint(map(type, facts)):
            return NOTHING_POSTED
        return self._posting(_notices(run_id, machine, facts))

    def observe(self, run_id: str, facts: Sequence[e.AnyEvent]) -> None:
        """Facts have become durable."""
        if not _TOLD.isdisjoint(map(type, facts)):
            self.posted()

    def of_turn(self, agent: str, turn: Callable[[Sequence[AtGate]], Result], found: Sequence[AtGate], /) -> Result:
        """Have a turn at the gates of an agent, and post what its breaker did in it."""
        before = [at.gate.breaker.state for at in found]
        result = turn(found)
        for state, at in zip(before, found, strict=True):
            if at.moved:
                at.team, at.notices = self.team, self._posting(opened(agent, state, at.moved)).notices
        return result

    def _posting(self, notices: Iterator[Notice]) -> Posting:
        return Posting(self.team, [(to, notice) for notice in notices for to in self._recipients.get(notice.kind, ())])


def _notices(run_id: str, machine: Machine, facts: Sequence[e.AnyEvent]) -> Iterator[Notice]:
    for fact in facts:
        match fact:
            case e.QuestionAsked() | e.StepEscalated():
                notice = _of_question(run_id, machine, fact)
                if notice is not None:
                    yield notice
            case e.StepBuried():
                whose = run_id, fact.step, fact.attempts, ""
                yield Notice("dead", fact.at_us, fact.agent, *whose, cut_short(fact.reason, TEXT_CHARS_MAX))


def _of_question(run_id: str, machine: Machine, fact: e.QuestionAsked | e.StepEscalated) -> Notice | None:
    """What is told of a question; None where it doesn't wait any more, since its run was cancelled with it."""
    n = machine.number[fact.step]
    asked = machine.questions.get(n)
    if asked is None:
        return None
    text = reason = ""
    if asked.effect:
        effect = machine.ledger.entry(n, asked.effect).effect
        text, reason = f"its effect {effect} waits for a person", asked.question.text
    elif (
        asked.by_agent or asked.budget or asked.about_plan or asked.contradicts
    ):  # what is said of these is the run's own
        text = asked.question.text
    else:
        text, reason = "all its attempts have failed", asked.question.text
    escalation = machine.rules.escalations[machine.label[n]]
    choices = asked.question.choices[:CHOICES_MAX]
    return Notice(
        "question",
        fact.at_us,
        machine.duty(n).agent,
        run_id,
        fact.step,
        asked.attempt,
        cut_short(text, TEXT_CHARS_MAX),
        cut_short(reason, TEXT_CHARS_MAX),
        asked.verbs,
        tuple(cut_short(choice, CHOICE_CHARS_MAX) for choice in choices),
        asked.due_us,
        "dead" if asked.about_plan else escalation.then if escalation is not None and asked.due_us else "",
    )
