"""What tokens cost: a price that isn't known is None, never zero."""

import subprocess
import sys

import pytest
from genai_prices import Usage as Counts
from genai_prices import calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot

from interlock.agents.foreign import Meter
from interlock.core.job import Usage
from interlock.prices import dollars


def test_a_price_of_ones_own():
    prices = {"input": 1.0, "output": 10.0}
    assert dollars("mine", 1_000_000, 500_000, 0, prices) == pytest.approx(6.0)
    assert dollars("mine", 1_000_000, 0, 400_000, {**prices, "cached": 0.5}) == pytest.approx(0.6 + 0.2)


def test_a_price_from_the_list():
    assert dollars("gpt-4o-mini", 1_000_000, 0) == pytest.approx(0.15)


def test_the_list_is_used_as_it_was_installed_and_nothing_is_fetched():
    """In a process of its own, which has not imported the list, and can't reach anything."""
    script = """
import socket
def refuse(*_, **__):
    raise AssertionError("it reaches out")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from interlock.prices import dollars, has_list, is_listed
assert has_list() and is_listed("gpt-4o-mini") and not is_listed("no-such-model")
print(dollars("gpt-4o-mini", 1_000_000, 0))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0.15"), done.stderr


@pytest.mark.parametrize("tokens", [(0, 0, 0), (777, 31, 0), (300_001, 100_003, 1_777), (1_000_000, 0, 1_000_000)])
def test_every_price_is_what_the_list_works_out(tokens):
    def worked_out(model):
        try:
            counts = zip(("input_tokens", "output_tokens", "cache_read_tokens"), tokens, strict=True)
            return float(calc_price(Counts(**dict(counts)), model_ref=model).total_price)
        except (LookupError, ValueError):
            return None

    models = [model.id for provider in get_snapshot().providers for model in provider.models][::7]
    assert {model: dollars(model, *tokens) for model in models} == {model: worked_out(model) for model in models}


def test_a_list_that_takes_the_place_of_another_counts_at_once():
    assert dollars("gpt-4o-mini", 1_000_000, 0) == pytest.approx(0.15)
    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=False))
    try:
        assert dollars("gpt-4o-mini", 1_000_000, 0) is None
    finally:
        set_custom_snapshot(None)
    assert dollars("gpt-4o-mini", 1_000_000, 0) == pytest.approx(0.15)


@pytest.mark.parametrize("model", ["no-such-model", "", "x" * 200])
def test_a_model_that_is_not_in_the_list_has_no_price(model):
    assert dollars(model, 1, 1) is None


def test_a_meter_counts_every_request():
    meter = Meter({"input": 1.0, "output": 1.0})
    meter.add("one", 10, 5)
    meter.add("two", 20, 5, cached=4)
    assert meter.usage == Usage(30, 10, pytest.approx(40e-6), 4, 2, "two")


@pytest.mark.parametrize("told", [None, -5, "7", 1.5, True, 2**70, float("nan")])
def test_counts_that_are_none_count_nothing_and_have_no_price(told):
    for counts in ((told, told), (told, 5), (5, told)):
        meter = Meter({"input": 1.0, "output": 1.0})
        meter.add(None, *counts, cached=told)
        given, made = (5 if count == 5 else 0 for count in counts)
        assert meter.usage == Usage(given, made, None, 0, 1, "")


def test_a_request_of_no_tokens_has_no_price():
    meter = Meter({"input": 1.0, "output": 1.0})
    meter.add("m", 10, 5)
    meter.add("m", 0, 0)
    assert meter.usage == Usage(10, 5, None, 0, 2, "m")


def test_no_more_is_cached_than_was_given():
    meter = Meter({"input": 1.0, "output": 0.0, "cached": 0.0})
    meter.add("m", 10, 0, cached=50)
    assert (meter.usage.cached_tokens, meter.usage.usd) == (10, 0.0)


def test_a_meter_that_counted_nothing_says_so():
    assert Meter().usage is None


def test_one_unknown_price_makes_the_whole_unknown():
    meter = Meter()
    meter.add("gpt-4o-mini", 10, 5)
    meter.add("no-such-model", 10, 5)
    assert meter.usage.usd is None


def test_the_name_of_a_model_is_bounded_text():
    meter = Meter()
    meter.add("x" * 1_000, 1, 1)
    assert len(meter.usage.model) == 200
    meter.add("\ud800", 1, 1)
    assert meter.usage.model == ""
