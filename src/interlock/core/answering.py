"""What people decide about the steps that wait for them, and what follows where nobody does in time."""

import msgspec

from . import events as e
from .approving import is_own
from .attempting import Attempting
from .budget import NOTHING_USED, Amounts
from .decision import Asked, told
from .effects import GIVE_UP, PERFORMED
from .job import Question
from .rules import Rules


class Answering(Attempting):
    """The steps of a run that may wait for a person.

    questions: of the steps that do. decided_by: who decided about a step. answers: what was answered to its agent.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.questions: dict[int, Asked] = {}
        self.decided_by: dict[int, str] = {}
        self.answers: dict[int, str] = {}

    def deadline_ms(self, n: int) -> int:
        """How long a question of a step waits for a person; 0 for ever."""
        escalation = self.rules.escalations[self.label[n]]
        return escalation.deadline_ms if escalation is not None else 0

    def _question_asked(self, event: e.QuestionAsked) -> None:
        n = self.number[event.step]
        self.reasons[n] = event.question.text
        approval = bool(event.effect) and self.ledger.following(self.ledger.entry(n, event.effect)) == "approve"
        if self.state[n] == "running":
            self._settle(n, event.usage if event.effect else event.usage or NOTHING_USED)
            self._forget_effects(n)
        told_with = (event.reads, event.due_us, event.effect, "", "", event.at_us, approval)
        by_agent = not event.effect and not e.says(event.plan)
        self._ask(n, Asked(event.attempt, event.question, by_agent, None, *told_with, plan=event.plan))

    def _step_escalated(self, event: e.StepEscalated) -> None:
        n = self.number[event.step]
        self._to_escalate.discard(n)
        if event.budget:
            del self._short[n]
            whose = self.budget_at(event.budget, self._duty[n])[1]
            more = Asked(
                event.attempt,
                Question(event.reason),
                False,
                None,
                (),
                event.due_us,
                "",
                event.budget,
                whose,
                event.at_us,
            )
            self._ask(n, more)
            return
        refused = self._refused.pop(n, None)
        reply = msgspec.json.decode(refused.reply) if refused else None
        reads = refused.reads if refused else ()
        kept = reply if isinstance(reply, dict) else None
        effects = refused.effects if refused and kept is not None else ()
        told_with = (reads, event.due_us, "", "", "", event.at_us)
        if n in self.rules.reconciles:
            self.reasons[n] = event.reason.partition("\n")[0]
            self._ask(n, Asked(event.attempt, Question(event.reason), False, None, *told_with, contradicts=True))
            return
        self._ask(n, Asked(event.attempt, Question(event.reason), False, kept, *told_with, effects=effects))

    def _ask(self, n: int, asked: Asked) -> None:
        self.questions[n] = asked
        self._move(n, "escalated")
        if asked.due_us:
            self._due[n] = None  # its timer

    def _question_answered(self, event: e.QuestionAnswered) -> None:
        n = self.number[event.step]
        asked = self.questions.pop(n)
        assert asked.attempt == event.attempt, f"{event.step}: attempt {event.attempt} is not the one that asked"
        self.decided_by[n] = event.by
        self._unpark()
        if asked.effect:
            self._effect_decided(n, asked, event)
            return
        if e.says(event.plan):
            self._plan_agreed(n, event)
            return
        if is_own(asked):
            self._plan_rejected(f"rejected by {event.by}" + (f": {event.reason}" if event.reason else ""))
            return
        if event.commits:
            self._commit(n, event)
            for wanted in event.effects:
                self._ask_for(n, wanted).approved_by = event.by
            self._end_with_effects(n)
            return
        if event.decision == "skip":
            self._end(n, "skipped", e.skipped_by(event.by, event.reason))
            return
        if event.decision == "reject":
            self._reject(n, "", event, asked)
        elif asked.contradicts:
            self.rulings[n] = event.by, event.text
        else:
            if event.decision == "answer" or not asked.by_agent:  # to have it tried again answers nothing
                self.answers[n] = event.text or self.answers.get(n, "")
            self.feedback[n] = told(asked, event.decision, event.text, self.feedback.get(n, ()))
            if asked.by_agent:
                self._tries[n] -= 1  # to ask a person uses up no retry, and no time
                self._first_us.pop(n, None)
            else:
                self._begin_anew(n)
        self._move(n, "ready")

    def _reject(self, n: int, what: str, event: e.QuestionAnswered, asked: Asked) -> None:
        self.reasons[n] = f"{what}rejected by {event.by}" + (f": {event.reason}" if event.reason else "")
        if not (asked.budget and self._fall_back(n)):
            self._given_up.add(n)

    def _question_expired(self, event: e.QuestionExpired) -> None:
        n = self.number[event.step]
        asked = self.questions.pop(n)
        self.decided_by[n] = "the deadline"
        self._unpark()
        if event.then == "default":
            self._commit(n, event)
            self._end_with_effects(n)
            return
        if is_own(asked):
            self._plan_rejected("nobody has answered in time")
            return
        self.reasons[n] = event.reason or f"nobody has answered in time: {asked.question.text}"
        if event.then != "fallback" or not self._fall_back(n):
            self._given_up.add(n)
        self._move(n, "ready")

    def _budget_raised(self, event: e.BudgetRaised) -> None:
        """All steps that had asked for more of the budget try again, as if they had not been held."""
        first = self.number[event.step]
        budget, whose = self.budget_at(event.budget, self._duty[first])
        assert budget is not None, f"{event.step} draws on no {event.budget}"
        if not budget.daily:
            more = Amounts(event.calls, event.tokens, event.usd)
            self.purse.raise_by(whose, budget, more, self.at_us)
        self._unpark()
        for n in (first, *(self.number[step] for step in event.others)):
            del self.questions[n]
            self._first_us.pop(n, None)  # to ask a person uses up no time
            self.decided_by[n] = event.by
            self._move(n, "ready")

    def _effect_decided(self, n: int, asked: Asked, event: e.QuestionAnswered) -> None:
        """A person has said what became of an effect, or whether it may be performed."""
        entry = self.ledger.entry(n, asked.effect)
        if event.decision == "reject" or (not asked.approval and event.text == GIVE_UP):
            self._reject(n, entry.reject(event.by, event.reason) if asked.approval else "", event, asked)
            self._move(n, "ready")
            return
        if asked.approval:
            entry.approved_by = event.by
        else:
            self.ledger.answer(n, asked.effect, event.by, performed=event.text == PERFORMED)
        if n in self._performed:
            self._end_with_effects(n)
            return
        if asked.approval:
            self._tries[n] -= 1  # to wait for a person uses up no retry
            told_before = tuple(told for told in self.feedback.get(n, ()) if told != entry.approval)
            self.feedback[n] = (*told_before, entry.approval)
        self._move(n, "ready")
