"""The optional parts, and which of them are there."""

import pytest

from interlock.doctor import Extra, extras, installed
from interlock.doctor.installed import fits


def test_every_extra_is_listed_with_what_it_brings():
    found = {extra.name: extra.packages for extra in extras()}
    assert {"llm", "langgraph", "crewai", "autogen", "openai-agents", "mcp", "local"} <= found.keys()
    assert found.keys().isdisjoint({"dev", "mutation"})
    assert found["mcp"]["mcp"]


def test_an_extra_is_installed_when_all_of_it_is():
    assert Extra("x", {"a": "1", "b": "2"}).is_installed
    assert not Extra("x", {"a": "1", "b": None}).is_installed


def test_an_extra_in_a_version_that_is_too_old_or_too_new_is_not_installed(monkeypatch):
    asked = {
        "interlock": ["mcp<3,>=2.3; extra == 'mcp'", "slim[a] (>=1); extra == 'llm'", "apprise>=2; extra == 'notify'"],
        "slim": ["inner>=4.10; extra == 'a'", "other>=9; extra == 'b'"],
    }
    there = {"mcp": "3.0.1", "slim": "1.0", "inner": "4.9.2", "apprise": "2"}
    monkeypatch.setattr(installed.metadata, "requires", asked.get)
    monkeypatch.setattr(installed.metadata, "version", there.__getitem__)
    found = {extra.name: extra for extra in extras()}
    assert {name: extra.unfit for name, extra in found.items()} == {
        "mcp": {"mcp": "<3,>=2.3"},
        "llm": {"inner": ">=4.10"},
        "notify": {},
    }
    assert [name for name, extra in found.items() if extra.is_installed] == ["notify"]


@pytest.mark.parametrize(
    ("version", "asked", "fit"),
    [
        ("2.3", ">=2.3.0,<3", True),
        ("2.2.9", ">=2.3", False),
        ("10.0", ">=9,<10", False),
        ("9.99.post1", ">=9,<10", True),
        ("1!2.0", ">1", True),
        ("2.0", "<=2", True),
        ("2026.10.11549", ">=2026.10", True),
        ("unknown", ">=1", False),
        ("1.0", "", True),
        ("1.0", "==2.*", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, asked, fit):
    assert fits(version, asked) is fit


def test_without_an_installation_no_extra_is_known(monkeypatch):
    monkeypatch.setattr(installed, "PACKAGE", "no-such-package")
    assert extras() == []
