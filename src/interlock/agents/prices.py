"""What tokens cost. A price that isn't known is None, never zero."""

from collections.abc import Mapping
from typing import Any

PER_TOKENS = 1_000_000


def dollars(
    model: str, input_tokens: int, output_tokens: int, cached: int = 0, prices: Mapping[str, float] | None = None
) -> float | None:
    """The price of a request in US dollars; None where the model's price isn't known.

    cached: how many of the input tokens came out of the provider's cache. prices: dollars per million tokens of
    `input`, `output` and `cached` (that of input where left out), in place of the price list that comes with the extra
    `llm` (genai-prices).
    """
    if prices is not None:
        fresh = input_tokens - cached
        of_cached = prices.get("cached", prices["input"])
        return (fresh * prices["input"] + cached * of_cached + output_tokens * prices["output"]) / PER_TOKENS
    return _listed(model, input_tokens, output_tokens, cached)


def _listed(model: str, input_tokens: int, output_tokens: int, cached: int) -> float | None:
    try:
        from genai_prices import Usage, calc_price
    except ImportError:  # without a list, no price is known
        return None
    usage: Any = Usage(input_tokens=input_tokens, output_tokens=output_tokens, cache_read_tokens=cached)
    try:
        return float(calc_price(usage, model_ref=model).total_price)
    except (LookupError, ValueError):  # it isn't in the list, or the counts make no sense
        return None
