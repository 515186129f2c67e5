"""The table of what the adapters keep."""

import json

import pytest

from .bench import RESULTS, Lane
from .contract import AdapterContract
from .contract_table import BEGIN, END, main, table, written_into
from .reference import Honest

KEPT = {"lane": "a", "stops": "socket", "promise": "answers", "case": "", "outcome": "kept"}
CANCELLED = {**KEPT, "promise": "stops", "timeout_s": 1.0, "stopped_s": 1.004}
BROKEN = {**KEPT, "lane": "b", "outcome": "broken"}
NEVER = {**KEPT, "lane": "b", "promise": "stops", "outcome": "not applicable", "reason": "it can't be stopped"}


def test_figures_by_adapter_then_what_is_kept_by_promise():
    assert table([KEPT, CANCELLED, BROKEN, NEVER, {**NEVER, "lane": "c"}]).splitlines() == [
        "|  | cancelled after | work stopped after | counted right | loop held up | kept of a call |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | 1.00 s | 1.00 s (socket) |  |  |  |",
        "| b |  |  |  |  |  |",
        "| c |  |  |  |  |  |",
        "",
        "|  | a | b | c |",
        "| --- | --- | --- | --- |",
        "| answers | ✓ | ✗ |  |",
        "| stops | ✓ | – | – |",
        "",
        "- stops: it can't be stopped: b, c",
    ]


def test_one_broken_case_breaks_a_promise_and_one_that_does_not_apply_does_not():
    assert "| answers | ✗ |" in table([KEPT, {**KEPT, "outcome": "broken"}])
    assert "| answers | ✓ |" in table([{**KEPT, "outcome": "not applicable"}, KEPT])


def test_it_takes_its_place_in_a_page():
    page = written_into(f"Before\n{BEGIN}\nold\n{END}\nafter\n", "new\n")
    assert page == f"Before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no lines"):
        written_into("a page", "new\n")


def test_what_the_contract_notes_becomes_a_table(tmp_path, monkeypatch, capsys):
    results = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS, str(results))
    contract = AdapterContract()
    contract.lane = Lane("honest", lambda server, model: Honest(server.port, server.key, model))
    contract.test_a_good_answer_is_a_reply_with_its_writes(stream=False)
    with pytest.raises(pytest.skip.Exception):
        contract.test_a_good_answer_is_a_reply_with_its_writes(stream=True)
    assert [json.loads(line)["outcome"] for line in results.read_text().splitlines()] == ["kept", "not applicable"]
    main(str(results))
    assert "| answers with its writes | ✓ |" in capsys.readouterr().out
