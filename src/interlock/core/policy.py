"""How often, how long and at what pace an agent is tried: declared data."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

import msgspec

from interlock.errors import PlanError

TIMEOUT_SIMPLE_MS = 5_000
TIMEOUT_COMPLEX_MS = 30_000
TIMEOUT_MS_MAX = 7 * 86_400_000
RETRIES_DEFAULT = 2
RETRIES_MAX = 100
BACKOFF_MS = 200
BACKOFF_MS_MAX = 30_000
# Enough for a day of hurried deploys; a call that kills its process each time still ends.
REISSUES_MAX = 5
# A server may ask to be left alone for longer than any backoff, but not for ever.
RETRY_AFTER_MS_MAX = 3_600_000

DEADLINE_MS_MAX = 3_650 * 86_400_000

Then = Literal["dead", "fallback", "default"]

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(ms|s|m|h|d)")


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one agent is tried for one step.

    timeout_ms bounds one attempt; 0 for no bound, as a nested team has by default. `retries` further attempts follow a
    refused or failed one; before attempt n after an error or a timeout (never after a refusal, which carries feedback)
    the run waits backoff_ms * 2 ** (n - 1), at most backoff_ms_max, or as long as a failed server asks for, at most an
    hour. None of them is due later than retry_for_ms after the first began; 0 for no such bound. A call lost in a crash
    is issued again at most reissues_max times.
    """

    timeout_ms: int = TIMEOUT_SIMPLE_MS
    retries: int = RETRIES_DEFAULT
    backoff_ms: int = BACKOFF_MS
    backoff_ms_max: int = BACKOFF_MS_MAX
    reissues_max: int = REISSUES_MAX
    retry_for_ms: int = 0

    def wait_after(self, failures: int, retry_after_ms: int = 0) -> int:
        """Milliseconds to wait after this many failed attempts in a row, the last of which asked for some time."""
        backoff = min(self.backoff_ms << min(failures - 1, 32), self.backoff_ms_max)
        return max(backoff, min(retry_after_ms, RETRY_AFTER_MS_MAX))

    def may_begin(self, at_us: int, first_us: int) -> bool:
        """Whether a further attempt may begin at this time, by when the first one began."""
        return not self.retry_for_ms or at_us <= first_us + 1_000 * self.retry_for_ms


def duration_ms(text: str) -> int:
    """`2s`, `500ms`, `1.5m`, `1h`, `1d` in milliseconds. Raises PlanError."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise PlanError(f"{text!r} is not a duration", fix="write a number and a unit: 500ms, 2s, 1m, 1h, 1d")
    return round(float(match[1]) * UNITS_MS[match[2]])


def due(at_us: int, deadline_ms: int) -> int:
    """When a question expires that is asked now, in microseconds; 0 for never, which is a deadline of 0."""
    return at_us + 1_000 * deadline_ms if deadline_ms else 0


class Escalation(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a step whose attempts are used up asks a person, and what becomes of a question that nobody answers.

    deadline_ms: 0 for a question that waits for ever. then: dead (a dead letter), fallback (the next agent of the chain
    goes on; where there is none, a dead letter) or default (`default` is committed in the agent's place).
    """

    deadline_ms: int = 0
    then: Then = "dead"
    default: Mapping[str, Any] = {}

    @classmethod
    def of(cls, declared: bool | Mapping[str, Any] | None) -> Self | None:  # noqa: FBT001 - `escalate: true`
        """What `escalate` declares: true, false, or {deadline, then, default}. Raises PlanError."""
        if declared is None or isinstance(declared, bool):
            return cls() if declared else None
        if not isinstance(declared, Mapping) or not set(declared) <= {"deadline", "then", "default"}:
            raise PlanError("escalate is true, or has deadline, then and default", fix="such as {deadline: 24h}")
        then, default = declared.get("then", "dead"), declared.get("default", {})
        if then not in get_args(Then):
            raise PlanError(f"then is {then!r:.80}, not one of {', '.join(get_args(Then))}")
        if not isinstance(default, Mapping) or bool(default) != (then == "default"):
            raise PlanError("then: default commits what default has: paths and their values", fix="give both or none")
        if "deadline" not in declared:
            if set(declared) & {"then", "default"}:
                raise PlanError("without a deadline nothing comes after it", fix="add one, such as deadline: 24h")
            return cls()
        deadline_ms = duration_ms(declared["deadline"])
        if not 0 < deadline_ms <= DEADLINE_MS_MAX:
            raise PlanError(f"the deadline {declared['deadline']} is not between 1ms and 3650d")
        return cls(deadline_ms, then, dict(default))
