"""The team file of the document pipeline: its selector takes one of the three options, whoever plays it."""

import pytest

import interlock as il
from interlock.core import events as e
from interlock.team.load import load
from interlock.testing import Simulator

from .reading import Example

EXAMPLE = Example("document_pipeline")
REFUSED = "summary.text is not one of the 3 at options, word for word: copy one of them as it stands"


def selector(*texts):
    """A selector that writes these, one after another; a function makes one of the options."""
    left = list(texts)

    async def choose(job: il.Job) -> il.Reply:
        text = left.pop(0)
        chosen = text(job.view["options"]) if callable(text) else text
        return il.Reply(writes={"summary.text": chosen, "summary.chosen": "brief"})

    return choose


@pytest.fixture(scope="module")
def simulator():
    return Simulator(load(EXAMPLE.folder))


def refusals(run):
    found = [event.findings for event in run.events if isinstance(event, e.AttemptRefused)]
    return [finding.message for findings in found for finding in findings]


def brief(options):
    return options["brief"]


def test_a_fourth_summary_is_refused_and_the_selector_told(simulator):
    a_fourth = lambda options: f"{options['brief']} All is well."  # noqa: E731 - a line of the script
    run = simulator.run(EXAMPLE.lines()[0], agents={"selector": selector(a_fourth, brief)})

    assert run.status == "succeeded"
    assert run.context["summary"]["text"] == run.context["options"]["brief"]
    assert refusals(run) == [REFUSED]


def test_a_selector_that_keeps_inventing_commits_nothing(simulator):
    run = simulator.run(EXAMPLE.lines()[0], agents={"selector": selector("One.", "Two.", "Three.")})

    assert (run.status, run.reason) == ("failed", f"choose: {REFUSED}")
    assert "summary" not in run.context


def test_the_real_selector_is_never_refused(simulator):
    for request in EXAMPLE.lines()[:5]:
        run = simulator.run(request)
        assert (run.status, refusals(run)) == ("succeeded", [])
