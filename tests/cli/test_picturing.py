"""`interlock plan`: what is shown of a plan, and that nothing runs."""

import json

import pytest

BRANCHING = """\
agents:
  sorter:
    allowed_actions: [sort]
    context_access: [docs, kind]
    write_permissions: [sorted]
    use: agents:work
    timeout: 1s
    retries: 0
    escalate: true
plan:
  - {id: each, agent: sorter, action: sort, for_each: docs, width: 2, batch: 3, writes: ["sorted.{step}"]}
  - {id: left, agent: sorter, action: sort, needs: [each], writes: [sorted.left], when: {path: kind, value: l}}
  - {id: right, agent: sorter, action: sort, needs: [each], writes: [sorted.right], when: {path: kind, value: r}}
  - {id: done, agent: sorter, action: sort, needs: [each], writes: [sorted.done], join: any_outcome, on_dead: skip}
  - {id: last, agent: sorter, action: sort, needs: [each, done], writes: [sorted.last]}
"""
WAITING = """\
plan:
  - {id: short, wait: 2h}
  - {id: open, wait: {until: kind}, needs: [short]}
  - {id: paid, await_event: payment, deadline: 1d, writes: [paid]}
  - {id: last, agent: sorter, action: sort, needs: [paid], writes: [sorted.last]}
"""


@pytest.fixture
def branching(desk):
    (desk.folder / "branching.yaml").write_text(BRANCHING)
    (desk.folder / "waiting.yaml").write_text(BRANCHING.partition("plan:")[0] + WAITING)
    return desk


def words(text):
    return " ".join(text.replace("│", "").replace("├──", "").replace("└──", "").split())


def test_the_tree_fits_eighty_columns_and_nothing_runs(branching):
    ended = branching.run("plan", "branching.yaml", env={"COLUMNS": "80"})
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines())) <= 80
    told = words(ended.out)
    for part in (
        "5 steps · 3 levels · 1 agent",
        "each sorter.sort for each 3 items of docs, 2 at a time else by a person",
        "writes sorted.{step} at most 1 call each",
        "3 side by side",
        'left sorter.sort only if kind == "l"',
        "runs although one that it needs has died given up, it counts as skipped",
        "last sorter.sort after each, done",
        "calls unknown: 4, and 1 for each batch in each (at least 2)",
        "time 3.0 s: each > done > last; longer with more items than the width of each",
        "cost, tokens unknown: no budget bounds sorter",
        "A person may take any time.",
    ):
        assert part in told, told
    assert not (branching.folder / ".interlock").exists()
    assert branching.calls == []


def test_for_a_request_it_is_said_what_that_makes_certain(branching):
    request = '{"docs": [1, 2, 3], "kind": "l"}'
    told = words(branching.run("plan", "branching.yaml", "--input", "-", stdin=request).out)
    for part in (
        "for the request of standard input:1",
        "docs (1 batch), 2 at a time",
        'is skipped: kind == "r" does not hold',
    ):
        assert part in told
    assert "calls 4 (at least 4)" in told


def test_as_json_it_is_one_document(branching):
    found = branching.json("plan", "branching.yaml")
    assert [step["id"] for step in found["steps"]] == ["each", "left", "right", "done", "last"]
    assert found["calls"] == {
        "least": 2,
        "most": None,
        "by": "",
        "exact": True,
        "unbounded": ["sorter"],
        "besides": 4,
        "per_copy": {"each": 1},
        "copies_max": 1000,
    }
    assert found["longest_way"] == {"steps": ["each", "done", "last"], "ms_most": 3000, "grows": ["each"], "open": []}


def test_waits_have_no_calls_and_take_as_long_as_they_declare(branching):
    told = words(branching.run("plan", "waiting.yaml").out)
    for part in (
        "4 steps · 2 levels · 1 agent",
        "short waits 2h at most 2 h 00 m",
        "open waits until kind after short nobody knows how long",
        "paid awaits payment writes paid at most 1 d 0 h",
        "calls 1 (at least 1)",
        "time 1 d 0 h: paid > last; nobody knows how long open waits",
    ):
        assert part in told, told
    found = branching.json("plan", "waiting.yaml")
    assert [(step["agents"], step["waits"], step["calls_most"], step["ms_most"]) for step in found["steps"]] == [
        ([], "waits 2h", 0, 7_200_000),
        ([], "waits until kind", 0, None),
        ([], "awaits payment", 0, 86_400_000),
        (["sorter"], "", 1, 1_000),
    ]
    assert found["longest_way"] == {"steps": ["paid", "last"], "ms_most": 86_401_000, "grows": [], "open": ["open"]}
    assert '{{"paid<br/>awaits payment"}}' in branching.run("plan", "waiting.yaml", "--format", "mermaid").out


NESTING = """\
agents:
  inner:
    team: branching.yaml
    outputs: {found: sorted.last}
    allowed_actions: [nest]
    context_access: [docs, kind]
    write_permissions: [found]
plan:
  - {id: nest, agent: inner, action: nest}
"""


def test_the_plan_of_a_nested_team_stands_in_its_step(branching):
    (branching.folder / "nesting.yaml").write_text(NESTING)
    ended = branching.run("plan", "nesting.yaml", env={"COLUMNS": "80"})
    assert max(map(len, ended.out.splitlines())) <= 80
    told = words(ended.out)
    for part in (
        "nest inner.nest writes found nobody knows how many calls, 3.0 s team 5 steps each sorter.sort",
        "last sorter.sort after each, done",
        "calls unknown: 0, and what nest takes (at least 2)",
        "A person may take any time.",
    ):
        assert part in told, told
    [step] = branching.json("plan", "nesting.yaml")["steps"]
    assert (step["calls_most"], step["ms_most"]) == (None, 3000)
    inner = step["nested"]["inner"]
    assert [one["id"] for one in inner["steps"]] == ["each", "left", "right", "done", "last"]
    assert "nested" not in inner["steps"][0]
    assert 'subgraph s1["nest<br/>inner"]' in branching.run("plan", "nesting.yaml", "--format", "mermaid").out


@pytest.mark.parametrize(("form", "first"), [("mermaid", "flowchart TD"), ("dot", "digraph plan {")])
def test_as_a_graph(branching, form, first):
    assert branching.run("plan", "branching.yaml", "--format", form).out.splitlines()[0] == first


@pytest.mark.parametrize(
    ("words_", "told"),
    [
        (["--format", "png"], "use one of: tree, mermaid, dot"),
        (["--format", "dot", "--json"], "--json is a format of its own"),
        (["--input", "none.json"], "there is no file none.json"),
    ],
)
def test_what_it_refuses(branching, words_, told):
    ended = branching.run("plan", "branching.yaml", *words_)
    assert (ended.code, told in ended.err) == (2, True), ended.err


def test_a_team_without_a_plan_has_none_to_show(desk):
    (desk.folder / "scopes.yaml").write_text("a: {allowed_actions: [x]}\n")
    ended = desk.run("plan", "scopes.yaml")
    assert (ended.code, "the team has no plan" in ended.err) == (2, True)


def test_of_a_large_plan_the_beginning_is_shown(desk):
    steps = [{"id": f"s{n}", "agent": "worker", "action": "work", "writes": [f"first.s{n}"]} for n in range(1_000)]
    scope = {"allowed_actions": ["work"], "write_permissions": ["first"]}
    (desk.folder / "large.yaml").write_text(json.dumps({"agents": {"worker": scope}, "plan": steps}))
    ended = desk.run("plan", "large.yaml")
    assert (ended.code, len(ended.out.splitlines()) < 700) == (0, True)
    assert "and 800 more steps: --json shows all" in ended.out
    assert len(desk.json("plan", "large.yaml")["steps"]) == 1_000


def test_what_a_supervisor_may_add_is_told_beside_it(desk):
    (desk.folder / "grown.yaml").write_text("""\
agents:
  sorter: {allowed_actions: [sort, decide], write_permissions: [sorted], use: agents:work}
supervisor: {agent: sorter, action: decide, decisions_max: 7}
""")
    ended = desk.run("plan", "grown.yaml", env={"COLUMNS": "80"})
    assert ended.code == 0, ended.err
    assert "Not counted: sorter decides up to 7 times, and adds up to 100 steps." in words(ended.out)
    assert "sorter decides which steps there are" in words(ended.out)
    assert not any(word in ended.out for word in (" 0 steps", "0 levels", "$0.00", "at most"))
    document = json.loads(desk.run("plan", "grown.yaml", "--json").out)
    assert (document["steps"], document["supervisor"]["decisions_max"]) == ([], 7)
