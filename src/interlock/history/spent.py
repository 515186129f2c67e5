"""What calls have consumed, and what runs cost: totals that know where a price is unknown."""

from typing import Any

import msgspec

from interlock.core.job import Usage

from .spread import Spread

_USD_DIGITS = 9


class Spent(msgspec.Struct):
    """What calls have consumed. usd: as far as prices are known; unpriced: how many calls have an unknown one."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0
    usd: float = 0.0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """All that went in and came out."""
        return self.input_tokens + self.output_tokens

    def add(self, usage: Usage) -> None:
        """What one more call consumed."""
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_tokens += usage.cached_tokens
        self.requests += usage.requests
        if usage.usd is not None:
            self.usd += usage.usd
        elif usage.input_tokens or usage.output_tokens or usage.requests:
            self.unpriced += 1

    def include(self, other: "Spent") -> None:
        """What others consumed."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """As `stats --json` prints it. usd is null where a price is unknown: unknown is never zero."""
        usd = round(self.usd, _USD_DIGITS)
        return {
            "tokens": {"input": self.input_tokens, "output": self.output_tokens, "cached": self.cached_tokens},
            "requests": self.requests,
            "usd": None if self.unpriced else usd,
            "usd_known": usd,
            "unpriced_calls": self.unpriced,
        }


class PerRun(msgspec.Struct):
    """What single runs cost that have ended. unpriced: how many of them have calls of an unknown price."""

    usd: Spread = msgspec.field(default_factory=Spread)
    tokens: Spread = msgspec.field(default_factory=Spread)
    unpriced: int = 0

    def add(self, spent: Spent) -> None:
        """What one more run cost."""
        self.tokens.add(spent.tokens)
        if spent.unpriced:
            self.unpriced += 1
        else:
            self.usd.add(spent.usd)

    def to_dict(self) -> dict[str, Any]:
        """As `stats --json` prints it."""
        return {"usd": self.usd.to_dict(_USD_DIGITS), "tokens": self.tokens.to_dict(), "unpriced_runs": self.unpriced}
