"""What tokens cost. A price that isn't known is None, never zero.

The price list is that of genai-prices, as it came with the installed version: nothing is fetched.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import msgspec

PER_TOKENS = 1_000_000
MODELS_MAX = 1_000


def dollars(
    model: str, input_tokens: int, output_tokens: int, cached: int = 0, prices: Mapping[str, float] | None = None
) -> float | None:
    """The price of a request in US dollars; None where the model's price isn't known.

    cached: how many of the input tokens came out of the provider's cache. prices: dollars per million tokens of
    `input`, `output` and `cached` (that of input where left out), in place of the price list, which comes with the
    extra `prices`, and with `llm`.
    """
    if prices is not None:
        fresh = input_tokens - cached
        of_cached = prices.get("cached", prices["input"])
        return (fresh * prices["input"] + cached * of_cached + output_tokens * prices["output"]) / PER_TOKENS
    return _listed(model, input_tokens, output_tokens, cached)


def has_list() -> bool:
    """Whether the price list is installed. It is not imported: that takes a fifth of a second."""
    return find_spec("genai_prices") is not None


def is_listed(model: str) -> bool:
    """Whether the price list knows a model."""
    return dollars(model, 1, 1) is not None


class _Rates(msgspec.Struct, frozen=True):
    """Dollars a request, and a token of each kind, of a model for which they are the same at any hour and any length.

    Working a price out from the list takes as long as all else that a call of a model costs here.
    """

    request: Decimal
    fresh: Decimal
    cached: Decimal
    output: Decimal

    def of(self, input_tokens: int, output_tokens: int, cached: int) -> float:
        """The price of a request."""
        fresh = self.fresh * (input_tokens - cached)
        return float(self.request + fresh + self.cached * cached + self.output * output_tokens)


class _Known:
    """The rates of models that were asked for, as long as the list that they are from is the one to be used."""

    def __init__(self) -> None:
        self._prices: Any = None
        self._rates: dict[str, _Rates | None] = {}

    def rates(self, model: str, prices: Any, price: "_Price") -> _Rates | None:
        """Those of a model. prices: the list; price: asks it for that of a request to the model."""
        if prices is not self._prices or len(self._rates) >= MODELS_MAX:
            self._prices, self._rates = prices, {}
        if model not in self._rates:
            self._rates[model] = _rates(price)
        return self._rates[model]


_Price = Callable[[int, int, int], Any]
_known = _Known()


def _listed(model: str, input_tokens: int, output_tokens: int, cached: int) -> float | None:
    try:
        from genai_prices import Usage, calc_price  # noqa: PLC0415 - only who needs a price waits for the list
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
    except ImportError:  # without a list, no price is known
        return None

    def price(given: int, made: int, kept: int) -> Any:
        usage = Usage(input_tokens=given, output_tokens=made, cache_read_tokens=kept)
        return calc_price(usage, model_ref=model)

    try:
        rates = _known.rates(model, get_snapshot(), price)
        if rates is not None:
            return rates.of(input_tokens, output_tokens, cached)
        return float(price(input_tokens, output_tokens, cached).total_price)
    except (LookupError, ValueError):  # it isn't in the list, or the counts make no sense
        return None


def _rates(price: _Price) -> _Rates | None:
    """The rates of a model; None where its prices change with the hour, or with the number of tokens."""
    none = price(0, 0, 0)
    listed = [value for value in vars(none.model_price).values() if value is not None]
    if isinstance(none.model.prices, list) or not all(isinstance(value, Decimal) for value in listed):
        return None
    request: Decimal = none.total_price
    million = ((PER_TOKENS, 0, 0), (PER_TOKENS, 0, PER_TOKENS), (0, PER_TOKENS, 0))
    return _Rates(request, *((price(*counts).total_price - request) / PER_TOKENS for counts in million))
