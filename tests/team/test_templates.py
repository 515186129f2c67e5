"""Plans with parameters: what is made of them, and where what is wrong with them is told."""

import pytest

from interlock.errors import TeamError
from interlock.team import Team
from interlock.team import templates as templates_module
from interlock.team.load import load

TEAM = """\
agents:
  writer:
    allowed_actions: [answer]
    context_access: [mail]
    write_permissions: ["draft.*"]
plans:
  short:
    parameters: {samples: 1, tone: plain, brief: true}
    steps:
      - id: reply
        agent: writer
        action: answer
        samples: "${samples}"
        instructions: "Write it ${tone}: ${samples}, ${brief}, $tone, {tone}."
        writes: ["draft.{step}"]
  careful: {like: short, with: {samples: 3, tone: formal}}
  written: [{id: reply, agent: writer, action: answer, instructions: "A ${price} is what it is."}]
planner:
  rules:
    - {plan: careful, when: {path: size, op: ">", value: 1000}}
    - {plan: written, when: {path: size, op: ">", value: 100}}
  default: short
"""


@pytest.fixture
def written(tmp_path):
    def write(*changes):
        text = TEAM
        for old, new in changes:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (tmp_path / "team.yaml").write_text(text)
        return tmp_path / "team.yaml"

    return write


def test_a_plan_is_made_of_its_steps_and_the_values_of_its_parameters(written):
    team = load(written())
    [short], [careful], [plain] = (team.plans[name].declared for name in ("short", "careful", "written"))
    assert (short.samples, short.instructions) == (1, "Write it plain: 1, true, $tone, {tone}.")
    assert (careful.samples, careful.instructions) == (3, "Write it formal: 3, true, $tone, {tone}.")
    assert plain.instructions == "A ${price} is what it is."


def test_what_a_run_is_pinned_to_has_no_parameters_any_more(written):
    team = load(written())
    assert Team.of_document(team.document).plans["careful"].hash == team.plans["careful"].hash
    other = load(written(("tone: formal", "tone: friendly")))
    assert other.plans["careful"].hash != team.plans["careful"].hash
    assert other.plans["short"].hash == team.plans["short"].hash


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("tone: formal", "tune: 1", 16, "plans.careful.with gives tune, which is no parameter of short; did you mean"),
        ("like: short", "like: shrt", 16, "plans.careful is like no plan with parameters; did you mean short?"),
        ("like: short", "like: written", 16, "plans.careful is like no plan with parameters"),
        ("like: short", "like: [short]", 16, "plans.careful is like no plan with parameters"),
        ("samples: 3", "samples: [3]", 16, "plans.careful.with.samples is a list, not a text, a number, true or false"),
        ("{samples: 3, tone: formal}", "3", 16, "plans.careful.with is the number 3, not a mapping"),
        ("like: short,", "like: short, steps: [],", 16, "plans.careful has no key steps"),
        ("    steps:", "    stepz:", 9, "plans.short has no key stepz; did you mean steps?"),
        ("{samples: 1,", "{sample s: 1,", 8, "plans.short.parameters has the name 'sample s'"),
        ("tone: plain, ", "", 14, "plans.short.steps[0].instructions uses ${tone}, which is no parameter"),
        ("tone: plain", "tone: plain, mood: good", 8, "nothing in the steps of plans.short uses its parameter mood"),
        ("samples: 3", "samples: many", 13, "plans.careful[0].samples is 'many', not a whole number from 1 to 100"),
        ("action: answer\n        samples", "action: guess\n        samples", 12, "plan short: step reply: writer may"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_once_where_it_stands(written, old, new, line, complaint):
    with pytest.raises(TeamError) as refused:
        load(written((old, new)))
    found = [(problem.line, problem.sentence) for problem in refused.value.problems]
    assert any(at == line and sentence.startswith(complaint) for at, sentence in found), found
    assert not any("there is no plan" in sentence for _, sentence in found)
    assert len({sentence for _, sentence in found}) == len(found)


def test_what_plans_hold_together_is_bounded(written, monkeypatch):
    monkeypatch.setattr(templates_module, "NODES_MAX", 15)
    with pytest.raises(TeamError, match="the plans hold more than 15 values, with their parameters filled in"):
        load(written())
