"""What must hold at the gates of a world, whatever its runs do: kept from durable events alone, by plain counting."""

from collections.abc import Iterator, Sequence

from interlock.core import events as e
from interlock.core.breaker import BreakerPolicy
from interlock.core.budget import DAY_US
from interlock.core.gate import GatePolicy
from interlock.core.rate import Rate
from interlock.core.rules import Rules

from .account import Account

# A call is let through before it is announced, and that may wait for an append on a busy disk.
LAG_US_MAX = 200_000


class Gates:
    """The gates of a team: one of each agent that has one, and that of all. Its checks raise Broken."""

    def __init__(self, rules: Rules) -> None:
        self._of = {name: GateAccount(f"agent {name}", role.gate) for name, role in rules.roles.items() if role.gate}
        self.of_all = [GateAccount("the team", rules.gate)] if rules.gate else []
        self._callers: dict[tuple[str, str, int], str] = {}
        # The attempts that are runs of nested teams: their calls pass, and they themselves don't.
        self._runs: set[tuple[str, str, int]] = set()
        self._guards = bool(self._of or self.of_all)
        # Those of the teams above the run whose event it is.
        self._above: Sequence[GateAccount] = ()

    def hear(  # noqa: C901, PLR0912 - one case per event
        self, account: Account, event: e.AnyEvent, above: Sequence["GateAccount"] = (), now_us: int = e.AT_US_MAX
    ) -> None:
        """An event has become durable, and its run's account knows of it.

        above: the gates of the teams above it. now_us: the clock, which the time in a run may be ahead of.
        """
        self._above = above
        if not self._guards and not above:
            return
        match event:
            case e.AttemptStarted():
                call = (account.run_id, event.step, event.attempt)
                self._callers[call] = event.agent
                for gate in self._behind(event.agent):
                    gate.call_began(account, call, min(event.at_us, now_us))
            case e.ChildStarted():
                self._runs.add((account.run_id, event.step, event.attempt))
            case e.AttemptCommitted():
                self._ended(account, event, "good", event.score)
            case e.ReplyJudged():
                self._ended(account, event, "good")
            case e.AttemptFailed():
                self._ended(account, event, "says nothing" if event.kind == "rate_limited" else event.kind)
            case e.AttemptRefused():
                is_bad = any(finding.code != "unjudged" for finding in event.findings)
                self._ended(account, event, "refused" if is_bad else "says nothing")
            case e.QuestionAsked() if (account.run_id, event.step, event.attempt) not in self._callers:
                pass  # about an effect of a step that was never called: of a fork
            case e.QuestionAsked() | e.AttemptInterrupted():
                self._ended(account, event, "says nothing")
            case e.BudgetRaised():
                self._raised(account, event)
            case e.CallHeld():
                for gate in self._behind(event.agent):
                    gate.was_asked(event)

    def _behind(self, agent: str) -> Iterator["GateAccount"]:
        if agent in self._of:
            yield self._of[agent]
        yield from self.of_all
        yield from self._above

    def _raised(self, account: Account, event: e.BudgetRaised) -> None:
        """Those of one run are no gate's."""
        if event.budget.startswith("above_"):
            self._above[int(event.budget.split("_")[1]) - 1].was_raised(account, event)
        if event.budget in {"budget", "team_budget"}:
            agent = event.whose.removeprefix("agent ")
            (self._of[agent] if agent else self.of_all[0]).was_raised(account, event)

    def _ended(self, account: Account, event: "_Ended", came: str, score: float | None = None) -> None:
        call = (account.run_id, event.step, event.attempt)
        for gate in self._behind(self._callers[call]) if call not in self._runs else ():
            gate.call_ended(call, came, event.at_us, score)


_Ended = (
    e.AttemptCommitted | e.AttemptFailed | e.AttemptRefused | e.ReplyJudged | e.QuestionAsked | e.AttemptInterrupted
)


class GateAccount:
    """One gate, as far as events tell. probes: of those that count, which have begun and not ended."""

    def __init__(self, whose: str, policy: GatePolicy) -> None:
        self._whose, self._policy = whose, policy
        self._began_us: list[int] = []
        self._day = 0
        self._on_day: dict[int, int] = {}
        self._more_on_day: dict[int, int] = {}
        # By day, when people have raised it last, and by how much for what was asked before that.
        self._last_raise: dict[int, tuple[int, int]] = {}
        self._bad = self._good = 0
        self._opened_us: int | None = None
        self._half_open_us = 0
        self._probes: set[tuple[str, str, int]] = set()

    def call_began(self, account: Account, call: tuple[str, str, int], at_us: int) -> None:
        """A call is announced."""
        policy = self._policy
        if policy.breaker is not None:
            self._check_breaker(account, policy.breaker, call, at_us)
        if policy.rate is not None and policy.rate.requests is not None:
            self._check_rate(account, policy.rate.requests, at_us)
        if policy.budget is not None and policy.budget.calls is not None:
            day = self._today(at_us)
            self._on_day[day] = self._on_day.get(day, 0) + 1
            fits = self._on_day[day] <= policy.budget.calls + self._more_on_day.get(day, 0)
            account.require("gates", fits, f"{self._on_day[day]} calls of {self._whose} on a day whose budget is less")

    def _today(self, at_us: int) -> int:
        """The day to which something belongs: one that is over never comes back, though a clock may be set back.

        Where a clock was days ahead, what belongs to that day belongs to today.
        """
        day = at_us // DAY_US
        if day < self._day - 1:
            for by_day in (self._on_day, self._more_on_day):
                by_day[day] = by_day.get(self._day, 0)
        self._day = day if day < self._day - 1 else max(day, self._day)
        return self._day

    def was_raised(self, account: Account, event: e.BudgetRaised) -> None:
        """A person has approved more of its daily budget; of what was asked before the last raise, the most counts."""
        day, calls = self._today(event.at_us), event.calls
        raised_us, most = self._last_raise.get(day, (0, 0))
        is_same = 0 < event.asked_us < raised_us and account.clock_is_steady
        self._last_raise[day] = (raised_us, max(most, calls)) if is_same else (event.at_us, calls)
        self._more_on_day[day] = self._more_on_day.get(day, 0) + (max(0, calls - most) if is_same else calls)

    def _check_rate(self, account: Account, rate: Rate, at_us: int) -> None:
        since_us = at_us - rate.period_us + LAG_US_MAX
        self._began_us = [began_us for began_us in self._began_us if began_us > since_us]
        self._began_us.append(at_us)
        fits = len(self._began_us) <= rate.amount or not account.clock_is_steady
        account.require("gates", fits, f"{len(self._began_us)} calls of {self._whose} in a period of its rate")

    # --- its breaker ---

    def was_asked(self, event: e.CallHeld) -> None:
        """A call is held."""
        if event.gate == "breaker" and self._opened_us is not None and self._policy.breaker is not None:
            self._cool_down(self._policy.breaker, event.at_us)

    def _cool_down(self, breaker: BreakerPolicy, at_us: int) -> None:
        """It is half-open from the first that asks after its cooldown; as long after that, lost probes are given up."""
        cooldown_us = 1_000 * breaker.cooldown_ms - LAG_US_MAX
        assert self._opened_us is not None
        if not self._half_open_us and at_us >= self._opened_us + cooldown_us:
            self._half_open_us = at_us
        elif self._half_open_us and at_us >= self._half_open_us + cooldown_us:
            self._half_open_us = at_us
            self._probes.clear()

    def _check_breaker(self, account: Account, breaker: BreakerPolicy, call: tuple[str, str, int], at_us: int) -> None:
        if self._opened_us is None or at_us <= self._opened_us + LAG_US_MAX:
            return
        self._cool_down(breaker, at_us)
        is_half_open = bool(self._half_open_us) or not account.clock_is_steady
        account.require("gates", is_half_open, f"{self._whose} is called although its breaker is open")
        self._probes.add(call)
        few = len(self._probes) + self._good <= breaker.half_open_calls or not account.clock_is_steady
        account.require("gates", few, f"{len(self._probes)} calls probe {self._whose} at once")

    def call_ended(self, call: tuple[str, str, int], came: str, at_us: int, score: float | None = None) -> None:
        """A call has come to something."""
        breaker = self._policy.breaker
        if breaker is None:
            return
        is_low = score is not None and score < breaker.threshold
        is_bad, says = is_low or came in breaker.counts, came == "good" or came in breaker.counts
        if self._opened_us is None:
            if says:
                self._bad = self._bad + 1 if is_bad else 0
            if self._bad >= breaker.trip_after:
                self._open(at_us)
        elif call in self._probes:
            self._probes.discard(call)
            if is_bad:
                self._open(at_us)
            elif says:
                self._good += 1
                if self._good >= breaker.half_open_calls:
                    self._close()

    def _open(self, at_us: int) -> None:
        self._close()
        self._opened_us = at_us

    def _close(self) -> None:
        self._opened_us, self._half_open_us, self._bad, self._good = None, 0, 0, 0
        self._probes.clear()
