"""The team file of the document pipeline: its selector takes one of the three options, whoever plays it."""

import shutil
from random import Random

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


def test_a_thousand_made_up_choices_are_refused_always(simulator, tmp_path):
    """Whatever a selector writes that is none of the three: near ones, parts, mixtures."""
    shutil.copytree(EXAMPLE.folder, tmp_path / "pipeline")
    text = (tmp_path / "pipeline" / "team.yaml").read_text()
    patient = text.replace("    use: pipeline:choose\n", "    use: pipeline:choose\n    retries: 100\n")
    (tmp_path / "pipeline" / "team.yaml").write_text(patient)
    patient, random, refused = Simulator(load(tmp_path / "pipeline")), Random(28), 0
    for request in EXAMPLE.lines()[:10]:
        options = [*simulator.run(request).context["options"].values()]
        attempts = [fake for _ in range(200) if (fake := invented(options, random)) not in options][:101]
        run = patient.run(request, agents={"selector": selector(*attempts)})
        assert run.status == "failed"
        assert "summary" not in run.context
        refused += len(refusals(run))
    assert refused >= 1_000


def invented(options, random):
    """A text that a model could take for one of these."""
    one, other = random.sample(options, 2)
    cut = random.randrange(len(one) + 1)
    place = random.randrange(len(one)) if one else 0
    return random.choice([
        f"{one} {other}",
        one[:cut] + other[cut:],
        one[:place] + chr(random.randrange(32, 1_000)) + one[place + 1 :],
        one[:place] + one[place + 1 :],
        one.upper(),
        one + random.choice([" ", "\n", ".", "\u200b"]),
        one.replace(" ", "\u00a0", 1),
        " ".join(random.sample(one.split(), len(one.split()))),
        "the third",
        "",
    ])  # fmt: skip


# --- contradictory readings ---

SETTLE = "reconcile: {among: readings, policy: score, same: {issued: date, due: date}, quorum: 1}"
TWO_TOTALS = 6


@pytest.fixture
def settling(tmp_path):
    """The team with another way to settle what contradicts itself."""

    def made(how, more=""):
        folder = tmp_path / "pipeline"
        shutil.copytree(EXAMPLE.folder, folder)
        text = (folder / "team.yaml").read_text()
        reconcile = f"reconcile: {{among: readings, same: {{issued: date, due: date}}, {how}}}{more}"
        (folder / "team.yaml").write_text(
            text.replace(SETTLE, reconcile).replace("\n  validator:\n", f"{JUDGE if more else ''}\n  validator:\n")
        )
        return Simulator(load(folder))

    return made


JUDGE = """
  judge:
    allowed_actions: [judge]
    context_access: [readings, document.text]
    write_permissions: [facts]
    use: "pipeline:extract"
"""


def resolution(run):
    return next(event for event in run.events if isinstance(event, e.ConflictsResolved))


@pytest.mark.parametrize(
    ("how", "cents", "by"),
    [
        ("policy: first", 48_000, "first"),
        ("policy: score", 48_000, "score"),
        ("policy: vote, otherwise: score", 48_000, "score"),
    ],
)
def test_contradictory_readings_are_found_and_settled(settling, how, cents, by):
    run = settling(how).run(EXAMPLE.lines()[TWO_TOTALS])
    assert run.status == "succeeded"
    assert run.context["facts.total.cents"] == cents
    told = [(one.path, one.by, [bytes(said.value) for said in one.said]) for one in resolution(run).settled]
    assert told == [("facts.total.cents", by, [b"48000", b"0"])]
    assert run.context["facts.due"] == "2026-06-10"


def test_a_vote_of_two_that_differ_gives_nothing(settling):
    run = settling("policy: vote").run(EXAMPLE.lines()[TWO_TOTALS])
    assert run.steps["settle"] == "dead"
    assert "facts" not in run.context


def test_a_judge_takes_one_of_the_two_or_nothing(settling):
    said = iter(
        [{"choices": {"facts.total.cents": 3}}, {"facts.total.cents": 24_000}, {"choices": {"facts.total.cents": 2}}]
    )

    async def judge(job):
        return next(said)

    team = settling("policy: judge", "\n        agent: judge\n        action: judge")
    run = team.run(EXAMPLE.lines()[TWO_TOTALS], agents={"judge": judge})
    assert run.context["facts.total.cents"] == 0
    assert len(refusals(run)) == 2


def test_a_person_is_asked_about_what_differs_alone(settling):
    run = settling("policy: person").run(EXAMPLE.lines()[TWO_TOTALS])
    assert run.status == "parked"
    assert run.reason == "settle needs a person: what was said contradicts itself about facts.total.cents"


def test_the_same_date_in_other_words_is_no_contradiction(simulator):
    run = simulator.run(EXAMPLE.lines()[0])
    assert (resolution(run).settled, run.context["facts.due"]) == ((), "2 April 2026")
