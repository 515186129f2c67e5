"""The optional parts, and which of them are there."""

from interlock.doctor import Extra, extras, installed


def test_every_extra_is_listed_with_what_it_brings():
    found = {extra.name: extra.packages for extra in extras()}
    assert {"llm", "langgraph", "crewai", "autogen", "openai-agents", "mcp", "local"} <= found.keys()
    assert found.keys().isdisjoint({"dev", "mutation"})
    assert found["mcp"]["mcp"]


def test_an_extra_is_installed_when_all_of_it_is():
    assert Extra("x", {"a": "1", "b": "2"}).is_installed
    assert not Extra("x", {"a": "1", "b": None}).is_installed


def test_without_an_installation_no_extra_is_known(monkeypatch):
    monkeypatch.setattr(installed, "PACKAGE", "no-such-package")
    assert extras() == []
