"""Requests as `show`, `replay` and `explain` tell them."""

from io import StringIO

import pytest
from rich.console import Console

import interlock as il
from interlock import history
from interlock.cli import paint_call
from interlock.cli.paint_lineage import show_lineage
from interlock.cli.paint_run import steps_tree
from interlock.cli.replaying import call_document
from tests.history.runs import Noting, ran
from tests.history.test_requests import ESCALATE, team


@pytest.fixture(scope="module")
def told():
    return ran(team(), Noting(a=[il.Reply(writes={"out.a": 2}, request=ESCALATE)]))


def lines(*parts):
    out = Console(width=100, file=StringIO(), no_color=True)
    for part in parts:
        out.print(part)
    return [line.strip(" │├└─") for line in out.file.getvalue().splitlines()]


def test_a_step_tells_what_it_requests(told):
    shown = lines(steps_tree(history.story(told)))
    assert shown[1].endswith("requests escalate of eve")
    assert not any("requests" in line for line in shown[2:])


def test_a_branch_that_nobody_requested_says_so():
    shown = lines(steps_tree(history.story(ran(team(), Noting(a=[{"out.a": 2}])))))
    assert shown[2].endswith("skipped: it was not requested by a")


def test_a_call_tells_what_it_may_request_and_what_it_did(told):
    call = history.handed(told, "a")
    document = call_document("r", call)
    assert document["job"]["requests"] == ({"action": "escalate", "to": "eve"},)
    assert document["reply"]["request"] == {"action": "escalate", "to": "eve", "step": "b"}
    shown = lines(*paint_call._job(call), *paint_call.reply_part(call.attempt, Console(width=100)))
    assert "may request      escalate of eve" in shown
    assert "requests  escalate of eve (step b)" in shown
    assert "requests" not in call_document("r", history.handed(told, "b"))["job"]


def test_the_tree_of_a_value_names_whose_request_its_writer_ran_for(told, capsys):
    show_lineage(told, history.lineage(told, "out.b"))
    assert "requested by a" in capsys.readouterr().out
