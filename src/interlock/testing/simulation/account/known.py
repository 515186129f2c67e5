"""What is known of one run from outside: all that its events told, and by which means they are held against it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.plan import Plan
from interlock.core.purse import Cost
from interlock.core.role import Duty
from interlock.core.rules import Rules
from interlock.core.step import Step
from interlock.core.values import ABSENT

from .arrivals import WaitsAccount
from .branches import BranchesAccount
from .broken import Broken
from .budgets import BudgetAccount
from .effects import EffectsAccount
from .judging import DraftAccount
from .naive import NaiveContext
from .views import Seen, ViewHashes

# All worlds of a campaign have one.
PLANS_KNOWN = 4

_json = msgspec.json.encode
# Whose budget it is that the run above sets aside.
SHARE = "its share of what the run above may consume"


class StepAccount:
    """One step, or one item of a for_each, as far as events tell."""

    def __init__(self, number: int, duties: Sequence[Duty], index: int | None = None, item: Any = ABSENT) -> None:
        self.number, self.duties, self.index, self.item = number, duties, index, item
        self.state = "waiting"
        self.attempt = self.tries = self.failures = self.lost = self.link = 0
        self.not_before_us = 0
        # When the first attempt of who does it now began; -1 where there was none.
        self.first_us = -1
        self.open = self.reissue = self.given_up = self.buried = False
        # Whether it waits for what others have set aside.
        self.held = False
        self.feedback: tuple[str, ...] = ()
        # about: the key of the effect that a person is asked about.
        # short: the gate of the budget that it needs more of; it asks for that, or will.
        self.asked = self.answer = self.about = self.short = ""
        # Of a run that does it, by agent: the calls, tokens and micros of a dollar that people have approved.
        self.more: dict[str, tuple[int, int, int]] = {}
        self.due_us = 0
        self.draft: DraftAccount | None = None
        # How sure its agent was, or how good its guardrails found it; and of one that reconciles, who chose what.
        self.score: float | None = None
        self.ruling: tuple[str, Any] | None = None
        # Those of the last refused reply, which a person may approve with it.
        self.refused_effects: tuple[e.EffectWanted, ...] = ()

    @property
    def duty(self) -> Duty:
        """Who does it now."""
        duties, link = self.duties, self.link
        return duties[link] if link < len(duties) else duties[-1]

    def in_time(self, at_us: int) -> bool:
        """Whether another attempt may begin at this time."""
        most_ms = self.duty.policy.retry_for_ms
        return not most_ms or self.first_us < 0 or at_us - self.first_us <= 1_000 * most_ms


class Known:
    """What is known of one run.

    events: all that became durable, in order; encoded: the same as they must be stored. steps: id -> what is known of
    it. context: all that was committed, as a nested dict. status: running, parked, succeeded, failed or cancelled.
    hashes: those of the views, shared by the accounts of a world; views: (step, agent) -> what it may see. name_of: the
    id of a step by its number; items_of: the ids of its items. drew: (step, attempt) -> the duty whose budgets pay for
    it; charged: those. blocked: the steps that were skipped since one that they need is lost. keys: (step, attempt) ->
    its idempotency key; key_owners: the other way round. ancestors: per step the bitset of all before it.
    """

    def __init__(self, run_id: str, rules: Rules, hashes: ViewHashes | None = None) -> None:
        self.run_id, self.rules, self.plan = run_id, rules, rules.plan
        # The hash of its team, where several are nested in each other.
        self.team = ""
        # Those it began under, while `rules` are those of the plan as it has grown.
        self.first_rules = rules
        # The steps that each decision about the plan has added; whether one has said that nothing more is to be done.
        self.added: dict[str, list[str]] = {}
        self.finished = False
        # Whether a person must approve plans; has not approved that of the run; has not, and nothing of it may run.
        self.approval: e.PlanApproval | None = None
        self.unapproved = self.rejected = False
        # What had ended when each decision was called; and those that a person is to make.
        self.known_to: dict[str, list[str]] = {}
        self.handed: set[str] = set()
        self.revised: set[str] = set()
        self.dropped: set[str] = set()
        # Added steps all of whose needs were over by then: whoever adds one knows that they were dropped.
        self.sure: set[str] = set()
        # Decisions that wait for a person; and what a person has said of them.
        self.proposed: dict[str, msgspec.Raw] = {}
        self.agreed: dict[str, e.QuestionAnswered] = {}
        # Who was called to do what, as it was told, where somebody decides about the plan: the steps.
        self.tasks: dict[tuple[str, str, str], list[str]] = {}
        self.hashes, self.views = hashes or ViewHashes(), dict[tuple[int, str], Seen]()
        # Every path that somebody wrote, the keys of the request first.
        self.written: list[str] = []
        self.events: list[e.AnyEvent] = []
        self.encoded: list[bytes] = []
        self.status = self.reason = ""
        self.tokens = self.calls = 0
        self.usd: float | None = 0.0
        self.naive = NaiveContext({})
        self.steps = {step.id: StepAccount(n, rules.duties[n]) for n, step in enumerate(self.plan.steps) if n}
        self.name_of = {one.number: name for name, one in self.steps.items()}
        self.items_of: dict[str, list[str]] = {}
        self.budgets: dict[str, BudgetAccount] = {}
        self.drew: dict[tuple[str, int], Duty] = {}
        self.charged: dict[tuple[str, int], tuple[tuple[str, str, BudgetPolicy], ...]] = {}
        self.blocked: set[str] = set()
        self.keys: dict[tuple[str, int], str] = {}
        self.key_owners: dict[str, tuple[str, int]] = {}
        self.ancestors = [*_ancestors(self.plan)]
        self.effects = EffectsAccount(run_id, rules.effects, self.require)
        self.branches = BranchesAccount(rules, self.require)
        self.waits = WaitsAccount()
        # The runs that do steps, by step; and those that a step waits for no more: the attempt that they were.
        self.children: dict[str, Any] = {}
        self.abandoned: dict[str, int] = {}
        self.parent: e.Parent | None = None
        # What the run above it has set aside for it, of which its calls draw, too.
        self.share: tuple[tuple[str, str, BudgetPolicy], ...] = ()
        # Step -> the keys of the effects in its reply; and of those that its attempt waits for.
        self.outbox: dict[str, list[str]] = {}
        self.waited: dict[str, dict[str, None]] = {}
        # The attempts whose reply has waited for a judge.
        self.drafted: set[tuple[str, int]] = set()
        self.at_us = 0
        # When the process that goes on with it began.
        self.driven_since_us = 0
        self._encoded_context = -1, b""
        # How often it was forked since it was last reopened.
        self.forks = 0
        # After a jump of the clock the times of events say nothing about how long somebody waited.
        self.clock_is_steady = True

    def takes_share(self, parent: e.Parent | None) -> None:
        """What the run above it has set aside is a budget as if all of its steps declared it."""
        self.parent = parent
        if parent is None or (parent.calls, parent.tokens, parent.usd) == (None, None, None):
            return
        most = self.rules.budget
        call = (most.call_tokens, most.call_usd) if most is not None else (0, 0)
        share = BudgetPolicy(parent.calls, parent.tokens, parent.usd, False, *call, parent.when_spent)
        self.share = (("share", SHARE, share),)

    def declared_above(self, kind: str) -> tuple[Any, str]:
        """What a team above declares of this part of its gate, None where nothing, and whose it is; "" for no such."""
        if self.parent is None or not kind.startswith("above_"):
            return None, ""
        _, level, part = kind.split("_")
        above = self.parent.above[int(level) - 1]
        return above.rate if part == "rate" else above.budget, f"team {above.gate[:-1]}"

    def budget_at(self, kind: str, duty: Duty) -> tuple[BudgetPolicy | None, str]:
        """The budget that a gate is, and whose."""
        if kind == "share":
            return (self.share[0][2] if self.share else None), SHARE
        declared, whose = self.declared_above(kind)
        return (declared, whose) if whose else self.rules.budget_at(kind, duty)

    def budgets_of(self, duty: Duty, one: "StepAccount") -> tuple[tuple[str, str, BudgetPolicy], ...]:
        """What a call of this duty for a step draws on, or a run.

        A run has all set aside that its agent declares, and what people have approved.
        """
        if duty.nested is None and not self.share:
            return duty.budgets
        own = self.rules.roles[duty.agent].budget or BudgetPolicy() if duty.nested is not None else None
        found = []
        for kind, whose, budget in (*duty.budgets, *self.share):
            call = (budget.call_calls, budget.call_tokens, budget.call_usd)
            if own is not None:
                more = one.more.get(duty.agent, (0, 0, 0))
                call = (more[0] + (own.calls or 1), more[1] + (own.tokens or 0), more[2] + (own.usd or 0))
            held = dict(zip(("call_calls", "call_tokens", "call_usd"), call, strict=True))
            found.append((kind, whose, msgspec.structs.replace(budget, **held)))
        return tuple(found)

    def lacks_for_now(self, one: "StepAccount") -> bool:
        """Whether a call for this step lacks only what is set aside for others, and may be left by them."""
        for _, whose, budget in self.budgets_of(one.duty, one):
            account = self.budgets.get(whose, BudgetAccount())
            if account.lacks(budget):
                return not account.lacks(budget, at_best=True)
        return False

    @property
    def request(self) -> dict[str, Any]:
        """What the run was started with."""
        started = self.events[0]
        assert isinstance(started, e.RunStarted)
        found: dict[str, Any] = msgspec.json.decode(started.request)
        return found

    @property
    def cost(self) -> Cost:
        """What the run has consumed."""
        return Cost(self.usd, self.tokens, self.calls)

    @property
    def context(self) -> dict[str, Any]:
        """All that was committed so far."""
        return self.naive.tree(-1)

    @property
    def encoded_context(self) -> bytes:
        """The context as JSON."""
        if self._encoded_context[0] != len(self.events):
            self._encoded_context = len(self.events), _json(self.context)
        return self._encoded_context[1]

    @property
    def states(self) -> dict[str, str]:
        """Step id -> state."""
        return {name: one.state for name, one in self.steps.items()}

    @property
    def takes_over(self) -> bool:
        """Whether it may take over what another run has done: it is a fork, and nobody was called."""
        started = self.events[0]
        return isinstance(started, e.RunStarted) and started.origin is not None and not self.calls

    def require(self, invariant: str, holds: object, message: str, *about: object) -> None:
        """Raise Broken unless something holds. about: what the message's {} stand for, only spelled out then."""
        if not holds:
            raise self.broken(invariant, message, *about)

    def broken(self, invariant: str, message: str, *about: object) -> Broken:
        """What is raised where something doesn't hold. about: what the message's {} stand for."""
        return Broken(invariant, message.format(*about) if about else message, self.run_id)

    def require_same(self, invariant: str, what: str, found: object, meant: object, *about: object) -> None:
        """Raise Broken unless two things are equal, which are only spelled out then: most are large."""
        if found != meant:
            raise Broken(invariant, f"{what.format(*about)}: {found!r:.300}, not {meant!r:.300}", self.run_id)

    def is_group(self, name: str) -> bool:
        """Whether a step has become items."""
        return name in self.items_of

    def comes_after(self, name: str, steps: Sequence[str]) -> bool:
        """Whether a step needs one of these, directly or by others."""
        ancestors = self.ancestors[self.step(name).number]
        return any(ancestors >> self.step(step).number & 1 for step in steps)

    def step(self, name: str) -> StepAccount:
        """What is known of a step or an item. Raises Broken where the plan has none."""
        one = self.steps.get(name)
        if one is None:
            raise self.broken("plan", "there is no step {}", name)
        return one

    def declared(self, one: StepAccount) -> Step:
        """What the plan says of a step."""
        return self.plan.steps[one.number]


@lru_cache(PLANS_KNOWN)
def _ancestors(plan: Plan) -> list[int]:
    """Per step the bitset of all steps that come before it, and the request."""
    found = [0]
    for mine in plan.needs[1:]:
        seen = 1
        for need in mine:
            seen |= 1 << need | found[need]
        found.append(seen)
    return found
