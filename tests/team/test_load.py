"""Loading team files: what they may say, and every refusal with its line."""

from pathlib import Path
from textwrap import dedent

import pytest

from interlock.core.plan import Phase
from interlock.errors import OwnershipError, PlanError, RaceError, TeamError
from interlock.team import Team

EXAMPLES = Path(__file__).parents[2] / "examples"

HEAD = """\
agents:
  one:
    allowed_actions: [work]
    context_access: [seed, out]
    write_permissions: [out.one, shared]
    use: agents:one
  two: {allowed_actions: [work, rest], context_access: [seed], write_permissions: [out.two]}
"""
HEAD_LINES = HEAD.count("\n")


def load(folder, text):
    file = folder / "team.yaml"
    file.write_text(dedent(text))
    return Team.load(file)


def problems(folder, text):
    with pytest.raises(TeamError) as caught:
        load(folder, text)
    return [(type(p), p.line, p.sentence) for p in caught.value.problems]


def only(folder, text):
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0]


# --- what loads ---


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/team.yaml")), ids=lambda file: file.parent.name)
def test_the_examples_load_and_are_proved(file):
    team = Team.load(file.parent)
    assert team.source == str(file)
    assert team.folder == file.parent.resolve()
    assert len(team.rules.plan.steps) > 1


def test_a_scope_file_with_three_keys_loads_and_has_no_plan(tmp_path):
    team = load(tmp_path, "agents: {a: {allowed_actions: [x], context_access: [b.c], write_permissions: [b.d]}}")
    assert team.agents["a"].scope.write_permissions == ("b.d",)
    assert team.line(("agents", "a")) == 1
    with pytest.raises(TeamError, match="no plan: it can be audited, not run"):
        _ = team.rules


def test_a_bare_scope_file_maps_agents_to_scopes(tmp_path):
    team = load(tmp_path, "a: {allowed_actions: [x]}\nb:\n  write_permissions: [c]\n")
    assert [*team.agents] == ["a", "b"]
    assert team.line(("agents", "b", "write_permissions")) == 3


def test_a_bare_scope_file_with_a_mistake_names_its_line(tmp_path):
    assert only(tmp_path, "a: {allowed_actions: [x]}\nb:\n  write_permissions: c\n")[1] == 3


def test_the_documented_file_loads(tmp_path):
    team = load(
        tmp_path,
        """\
        name: support
        agents:
          triage:
            allowed_actions: [classify_ticket, escalate_to_resolution]
            context_access: ["ticket.metadata", "customer.info"]
            write_permissions: ["ticket.category", "ticket.priority"]
            use: support.agents:triage
            effort: simple
            retries: 2
            on_dead: continue
            fallback: triage_rules
          triage_rules:
            allowed_actions: [classify_ticket]
            context_access: ["ticket.metadata"]
            write_permissions: ["ticket.category", "ticket.priority"]
          resolution:
            allowed_actions: [generate_response]
            context_access: [ticket]
            write_permissions: [options, ticket.draft, ticket.notes]
            timeout: 2s
            backoff: 100ms
            concurrency: 4
            isolation: process
            version: "2"
          editor:
            allowed_actions: [edit]
            write_permissions: [ticket.draft]
          judge:
            allowed_actions: [select]
            context_access: [options]
            write_permissions: [ticket.response, ticket.notes]
            schema: {required: [ticket.response], properties: {ticket.response: {type: string}}}
        reducers:
          ticket.notes: append
        succession:
          ticket.draft: [resolution, editor]
        limits: {steps_max: 50}
        plan:
          - phase: understand
            steps: [{id: classify, agent: triage, action: classify_ticket}]
          - phase: options
            steps:
              - {id: option, agent: resolution, action: generate_response, samples: 3, writes: ["options.{step}"]}
          - phase: choose
            steps: [{id: choose, agent: judge, action: select, reads: [options], writes: [ticket.response]}]
          - id: edit
            agent: editor
            action: edit
            needs: [choose]
            when: {path: ticket.category, op: in, value: [billing, "no"]}
            join: any_outcome
            on_dead: skip
            instructions: ""
        """,
    )
    assert team.name == "support"
    assert team.agents["resolution"].policy.timeout_ms == 2_000
    assert team.limits.steps_max == 50
    assert [step.id for step in team.rules.plan.steps[1:]] == [
        *["classify", "option-1", "option-2", "option-3", "choose", "edit"]
    ]
    assert str(team.rules.plan.steps[-1].when) == 'ticket.category in ["billing","no"]'
    assert team.line(("plan", "choose", "reads")) == 45
    assert team.line(("plan", "option-2")) == 43
    assert team.rules.on_dead == ["fail_run", "continue", *["fail_run"] * 4, "skip"]


def test_steps_and_phases_mix(tmp_path):
    team = load(
        tmp_path,
        HEAD
        + """\
plan:
  - {id: a, agent: one, action: work}
  - phase: then
    steps: [{id: b, agent: two, action: rest, needs: [a]}]
""",
    )
    assert team.rules.plan.needs[2] == (1,)
    assert Phase("then", team.plan.declared[1:]).name == "then"


# --- what doesn't, and where ---


def test_a_folder_without_a_team_file_says_so(tmp_path):
    with pytest.raises(TeamError, match=r"the folder has no team\.yaml"):
        Team.load(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TeamError, match=r"none\.yaml: it can't be read"):
        Team.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("[1, 2]", 1, "the file is a list, not a mapping with the keys of a team file"),
        ("just text", 1, "the file is 'just text', not a mapping"),
        ("name: x\n", 1, "the file has no agents"),
        ("name: x\nagents: {}\n", 2, "agents is empty"),
        ("agents: [a]\n", 1, "agents is a list, not a mapping"),
        ("agents:\n  a: {}\n  b:\n", 3, "agents.b is nothing, not a mapping with the keys of an agent"),
        ("agents:\n  a: {}\n  b c: {}\n", 3, "the key agents.b c is 'b c', not a name of 1 to 80 letters"),
        ("agents: {a: {}}\nagent: {}\n", 2, "a team file has no key agent; did you mean agents?"),
        ("agents: {a: {}}\nplanner: {agent: a}\n", 2, "planner has no action"),
        ("agents: {a: {}}\nplanner: {agent: b, action: x}\n", 2, "the planner is b, which is no agent"),
        ("agents: {a: {}}\nplanning: {}\n", 2, "planning: planning is not part of this version"),
        ("agents: {a: {}}\nbudget: {}\n", 2, "budget bounds nothing"),
        ("agents: {a: {}}\nbudget: {usd: -1}\n", 2, "is the number -1, not a number from 0 to 1,000,000,000"),
        ("agents: {a: {}}\nbudget: {calls: 1, when_spent: wait}\n", 2, "nothing comes back within a run"),
        ("agents: {a: {}}\nrate: {}\n", 2, "rate is empty"),
        ("agents: {a: {}}\nname: yes\n", 2, "name is true, not a text"),
        ("agents: {a: {}}\nlimits: {steps_max: 0}\n", 2, "limits.steps_max is the number 0, not a whole number from 1"),
        ("agents: {a: {}}\nlimits: {steps: 9}\n", 2, "the limits has no key steps; did you mean steps_max?"),
        ("agents: {a: {}}\nreducers: {x: concat}\n", 2, "reducers.x is 'concat', not one of append, add, merge"),
        ("agents: {a: {}}\nreducers: {x..y: add}\n", 2, "the key reducers.x..y: 'x..y' is not a dotted path"),
        ("agents: {a: {}}\nsuccession:\n  x: [a]\n", 3, "succession.x has 1 items; at least 2 are needed"),
        ("agents: {a: {}, b: {}}\nsuccession:\n  x: [a, c]\n", 3, "the succession of x names c, which is no agent"),
    ],
)
def test_the_whole_file(tmp_path, text, line, part):
    _, found, sentence = only(tmp_path, text)
    assert (found, part in sentence) == (line, True), sentence


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ("allowed_actions: work", "agents.a.allowed_actions is 'work', not a list"),
        ("allowed_actions: [on]", "agents.a.allowed_actions[0] is true, not the name of an action"),
        ("allowed_actions: ['']", "allowed_actions[0] is '', not the name of an action"),
        ("context_access: [a..b]", "agents.a.context_access[0]: 'a..b' is not a dotted path"),
        ("write_permissions: [a.*.b]", "agents.a.write_permissions[0]: 'a.*.b' is not a dotted path"),
        ("write_permissions: {a: b}", "agents.a.write_permissions is a mapping, not a list"),
        ("write_permission: [a]", "an agent has no key write_permission; did you mean write_permissions?"),
        ("use: agents.one", "agents.a.use is 'agents.one', not module:function"),
        ("effort: easy", "agents.a.effort is 'easy', not one of simple, complex"),
        ("timeout: 2", "agents.a.timeout is the number 2, not a duration"),
        ("timeout: 2 parsecs", "agents.a.timeout is '2 parsecs', not a duration"),
        ("timeout: 0s", "agents.a.timeout is '0s', not a duration of more than 0"),
        ("timeout: 8d", "agents.a.timeout is '8d', not a duration of more than 0 and up to 7d"),
        ("retries: -1", "agents.a.retries is the number -1, not a whole number from 0 to 100"),
        ("retries: 1.5", "agents.a.retries is the number 1.5, not a whole number"),
        ("retries: yes", "agents.a.retries is true, not a whole number"),
        ("backoff: soon", "agents.a.backoff is 'soon', not a duration"),
        ("fallback:", "agents.a.fallback is nothing, not a name"),
        ("fallback: b", "the fallback of a is b, which is no agent"),
        ("fallback: a", "agent a falls back to itself"),
        ("schema: text", "agents.a.schema is 'text', not a JSON Schema"),
        ("schema: {properties: {x: {format: date}}}", "agents.a.schema: the schema of x uses format"),
        ("isolation: jail", "agents.a.isolation is 'jail', not one of task, process, thread"),
        ("concurrency: 0", "agents.a.concurrency is the number 0, not a whole number from 1"),
        ("version: 1.10", "agents.a.version is the number 1.1, not a text"),
        ("breaker: {threshold: 7}", "agents.a.breaker.threshold is the number 7, not a number from 0 to 1"),
        ("breaker: {cooldown: 30}", "agents.a.breaker.cooldown is the number 30, not a duration"),
        ("breaker: {counts: [slow]}", "agents.a.breaker.counts[0] is 'slow', not one of refused, error, timeout"),
        ("breaker: {trip_afer: 5}", "a breaker has no key trip_afer; did you mean trip_after?"),
        ("budget: {call: {usd: 1}, calls: 3}", "agents.a.budget.call.usd says nothing without usd"),
        ("budget: {usd: 1, call: {usd: 2}}", "a call may consume more than the whole budget"),
        ("budget: {day: {}}", "agents.a.budget.day bounds nothing"),
        ("a2a: {url: x}", "agents.a.a2a: a2a is not part of this version"),
        ("llm: {model: openai:x, modle: y}", "agents.a.llm.modle: an LLM agent has no key modle; did you mean model?"),
        ("llm: {model: 5}", "agents.a.llm.model is the number 5, not provider:model"),
        ("llm: {model: gpt-5}", "llm.model is 'gpt-5', not provider:model"),
        ("llm: {model: openai:x, output: {a: txt}}", "agents.a.llm.output.a: there is no type txt; did you mean text?"),
        ("crewai: make", "agents.a.crewai is 'make', not module:function"),
        ("crewai: {use: m:make, price: {input: -1, output: 0}}", "price.input is the number -1, not a number from 0"),
        ("crewai: m:make\n    autogen: m:make", "agents.a has crewai and autogen: an agent is of one kind"),
        (
            "http: 'https://a.test'\n    isolation: task",
            "agents.a.isolation says nothing of an agent that is declared by http",
        ),
        ("command: []", "agents.a.command has 0 items; at least 1 are needed"),
        ("rate: {requests: 60}", "agents.a.rate.requests is the number 60, not a rate, such as 60/min"),
        ("rate: {requests: 0/min}", "agents.a.rate.requests is '0/min', not a rate"),
        ("rate: {requests: 60/minute}", "agents.a.rate.requests is '60/minute', not a rate"),
        ("guardrails: schema", "agents.a.guardrails is 'schema', not a list"),
        ("guardrails: [choise]", "agents.a.guardrails[0]: there is no guardrail choise; did you mean choice?"),
        ("guardrails: [5]", "agents.a.guardrails[0]: it is no guardrail"),
        ("guardrails: [{choice: {paht: x}}]", "choice has no option paht; did you mean path?"),
        ("guardrails: [{choice: {path: x}}]", "choice: among is missing"),
        ("guardrails: [{choice: x}]", "the options of choice are no mapping"),
        ("guardrails: [{confidence: {weight: 0}}]", "weight is 0, not a number above 0"),
        ("guardrails: [{use: checks}]", "use is 'checks', not module:function"),
        ("guardrails: [{use: 'checks:f', isolation: process}]", "a guardrail runs in the loop"),
        ("guardrails: [{use: 'checks:f', wieght: 1}]", "a function has no option wieght; did you mean weight?"),
        ("guardrails: [{use: 'checks:f', cost: 10}]", "cost is 10, not a whole number from 0 to 9"),
        ("threshold: 0", "agents.a.threshold is the number 0, not a number from 0.01 to 1"),
    ],
)
def test_an_agents_keys(tmp_path, entry, part):
    _, line, sentence = only(tmp_path, f"agents:\n  a:\n    {entry}\n")
    assert (line, part in sentence) == (3 + entry.count("\n"), True), sentence


@pytest.mark.parametrize(
    ("step", "part"),
    [
        ("agent: one, action: work", "plan[0] has no id"),
        ("id: a, action: work", "plan[0] has no agent"),
        ("id: a, agent: one", "plan[0] has no action"),
        ("id: a b, agent: one, action: work", "plan[0].id is 'a b', not a name"),
        ("id: a, agent: oen, action: work", "step a: there is no agent oen; did you mean one?"),
        ("id: a, agent: two, action: rset", "step a: two may not do rset; did you mean rest?"),
        ("id: a, agent: one, action: work, needs: b", "plan[0].needs is 'b', not a list"),
        ("id: a, agent: one, action: work, needs: [b]", "step a needs b, which is no step"),
        ("id: a, agent: one, action: work, needs: [a]", "the plan has a cycle: a needs a"),
        ("id: a, agent: one, action: work, reads: [.x]", "plan[0].reads[0]: '.x' is not a dotted path"),
        ("id: a, agent: one, action: work, reads: [secret]", "step a reads secret, which one may not read"),
        ("id: a, agent: one, action: work, writes: [out.two]", "step a writes out.two, which one may not write"),
        ("id: a, agent: one, action: work, writes: ['out.one.{index}']", "only samples and for_each have an {index}"),
        ("id: a, agent: one, action: work, stale_ok: 'yes'", "plan[0].stale_ok is 'yes', not true or false"),
        ("id: a, agent: one, action: work, instructions: no", "plan[0].instructions is false, not a text"),
        ("id: a, agent: one, action: work, samples: 0", "plan[0].samples is the number 0, not a whole number from 1"),
        ("id: a, agent: one, action: work, samples: 2", "steps a-1 and a-2 may run at the same time"),
        ("id: a, agent: one, action: work, for_each: seed, writes: [out.one.x]", "steps a-0 and a-1 may run"),
        ("id: a, agent: one, action: work, samples: 2, for_each: seed", "has both samples and for_each"),
        ("id: a, agent: one, action: work, for_each: [seed]", "plan[0].for_each is a list, not a dotted path"),
        ("id: a, agent: one, action: work, when: seed", "plan[0].when is 'seed', not a mapping"),
        ("id: a, agent: one, action: work, when: {path: seed}", "plan[0].when has no value to compare with"),
        ("id: a, agent: one, action: work, when: {op: exists}", "plan[0].when has no path"),
        ("id: a, agent: one, action: work, when: {path: seed, op: '='}", "plan[0].when.op is '=', not one of"),
        ("id: a, agent: one, action: work, when: {path: seed, op: exists, value: 1}", "exists compares with no value"),
        ("id: a, agent: one, action: work, join: any", "plan[0].join is 'any', not one of all, any_outcome"),
        ("id: a, agent: one, action: work, timeout: 5", "plan[0].timeout is the number 5, not a duration"),
        ("id: a, agent: one, action: work, retries: 1000", "plan[0].retries is the number 1000, not a whole number"),
        ("id: a, agent: one, action: work, schema: {required: [out.two]}", "the schema names out.two"),
        ("id: a, agent: one, action: work, guardrails: [x]", "guardrails[0]: there is no guardrail x"),
        ("id: a, agent: one, action: work, need: [b]", "a step has no key need; did you mean needs?"),
        ("phase: a", "plan[0] has no steps"),
        ("steps: [{id: a, agent: one, action: work}]", "plan[0] has no phase"),
        ("phase: a, steps: []", "plan[0].steps: the phase has no steps"),
        ("phase: a, steps: [{id: a, agent: one, action: wrok}]", "step a: one may not do wrok"),
        ("phase: a, steps: [x]", "plan[0].steps[0] is 'x', not a mapping with the keys of a step"),
    ],
)
def test_a_steps_keys(tmp_path, step, part):
    found = problems(tmp_path, f"{HEAD}plan:\n  - {{{step}}}\n")
    assert {line for _, line, _ in found} == {HEAD_LINES + 2}
    assert part in found[0][2]


@pytest.mark.parametrize("plan", ["plan: []", "plan: {a: b}", "plan:", "plan: later"])
def test_a_plan_is_a_list_of_something(tmp_path, plan):
    assert only(tmp_path, f"{HEAD}{plan}\n")[1] == HEAD_LINES + 1


def test_two_owners_are_named_in_the_line_of_the_second(tmp_path):
    kind, line, sentence = only(
        tmp_path, "agents:\n  a: {write_permissions: [t]}\n  b:\n    use: m:f\n    write_permissions: [t.x]\n"
    )
    assert (kind, line) == (OwnershipError, 5)
    assert sentence == "agents a and b both own t.x: a may write t, b may write t.x"


def test_a_race_is_named_in_the_line_of_the_second_steps_writes(tmp_path):
    kind, line, sentence = only(
        tmp_path,
        HEAD
        + """\
plan:
  - {id: a, agent: one, action: work, writes: [shared]}
  - id: b
    agent: one
    action: work
    writes: [shared.x]
""",
    )
    assert (kind, line) == (RaceError, HEAD_LINES + 6)
    assert sentence == "steps a and b may run at the same time and may both write shared.x"


def test_a_read_of_what_runs_meanwhile_is_named_in_the_line_of_the_reads(tmp_path):
    kind, line, _ = only(
        tmp_path,
        HEAD
        + """\
plan:
  - {id: a, agent: two, action: work}
  - id: b
    agent: one
    action: work
    reads: [out.two]
""",
    )
    assert (kind, line) == (PlanError, HEAD_LINES + 6)


def test_a_cycle_is_named_in_the_line_of_one_of_its_needs(tmp_path):
    kind, line, sentence = only(
        tmp_path,
        HEAD
        + """\
plan:
  - {id: a, agent: two, action: work}
  - {id: b, agent: one, action: work, needs: [c]}
  - {id: c, agent: one, action: work, needs: [b]}
""",
    )
    assert (kind, line) == (PlanError, HEAD_LINES + 3)
    assert sentence == "the plan has a cycle: b needs c needs b"


def test_a_doubled_id_names_both_lines(tmp_path):
    plan = "plan:\n  - {id: a, agent: two, action: work}\n  - {id: a, agent: one, action: work}\n"
    _, line, sentence = only(tmp_path, HEAD + plan)
    assert (line, sentence) == (HEAD_LINES + 3, f"two steps have the id a, first in line {HEAD_LINES + 2}")


def test_an_id_that_a_copy_has_already_is_refused_in_its_line(tmp_path):
    plan = """\
plan:
  - {id: a, agent: one, action: work, samples: 2, writes: ["out.one.{step}"]}
  - {id: a-1, agent: two, action: work}
"""
    assert only(tmp_path, HEAD + plan)[1:] == (HEAD_LINES + 3, "two steps have the id a-1")


def test_succession_out_of_order_is_named_in_the_line_of_the_step(tmp_path):
    _, line, sentence = only(
        tmp_path,
        """\
        agents:
          a: {allowed_actions: [x], write_permissions: [d]}
          b: {allowed_actions: [x], write_permissions: [d]}
        succession: {d: [a, b]}
        reducers: {d: append}
        plan:
          - {id: second, agent: b, action: x}
          - {id: first, agent: a, action: x}
        """,
    )
    assert line == 7
    assert "before its earlier owners are done" in sentence


def test_steps_that_are_called_by_numbers_are_not_taken_for_positions(tmp_path):
    plan = "plan:\n  - {id: '1', agent: two, action: work}\n  - {id: '0', agent: two, action: wrok, needs: ['1']}\n"
    assert only(tmp_path, HEAD + plan)[1] == HEAD_LINES + 3


def test_more_steps_than_the_limit_are_refused(tmp_path):
    plan = (
        "plan:\n  - {id: a, agent: one, action: work, samples: 9, writes: ['out.one.{step}']}\nlimits: {steps_max: 8}\n"
    )
    assert only(tmp_path, HEAD + plan)[1:] == (HEAD_LINES + 1, "the plan has 9 steps, more than 8")


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path):
    found = problems(
        tmp_path,
        """\
        agents:
          a:
            allowed_actions: [x]
            write_permissions: [t]
            timeout: soon
            fallback: c
          b: {allowed_actions: [x], write_permissions: [t.x], effects: {}}
        plan:
          - {id: s, agent: a, action: y, retries: many}
          - {id: t, agent: d, action: x}
        nmae: z
        """,
    )
    assert [line for _, line, _ in found] == [5, 6, 7, 7, 9, 9, 10, 11]


def test_a_broken_scope_hides_what_would_follow_from_it(tmp_path):
    text = "agents:\n  a: {allowed_actions: [x], write_permissions: [t..u]}\nplan:\n"
    assert only(tmp_path, text + "  - {id: s, agent: a, action: x, writes: [t.u]}\n")[1] == 2


def test_a_thousand_races_are_not_listed_one_by_one(tmp_path):
    steps = "".join(f"  - {{id: s{n}, agent: one, action: work}}\n" for n in range(1_000))
    assert 1 < len(problems(tmp_path, f"{HEAD}plan:\n{steps}")) <= 100


def test_the_message_has_file_line_and_mend(tmp_path):
    with pytest.raises(TeamError) as caught:
        load(tmp_path, "agents:\n  a: {retires: 2}\n")
    assert str(caught.value).startswith(f"{tmp_path}/team.yaml:2: agents.a.retires: an agent has no key retires;")
    assert caught.value.place == ("agents", "a", "retires")


def test_more_agents_than_anybody_has_are_refused(tmp_path):
    agents = "".join(f"  a{n}: {{write_permissions: [out]}}\n" for n in range(2_001))
    assert only(tmp_path, f"agents:\n{agents}")[1:] == (1, "agents has 2,001 entries; at most 2,000 are possible")


def test_a_hundred_owners_of_one_field_are_not_listed_one_by_one(tmp_path):
    agents = "".join(f"  a{n}: {{write_permissions: [out]}}\n" for n in range(100))
    found = problems(tmp_path, f"agents:\n{agents}")
    assert len(found) == 100
    assert {kind for kind, *_ in found} == {OwnershipError}
    with pytest.raises(OwnershipError):
        Team.load(tmp_path)


def test_a_reducer_inside_another_is_refused_in_its_line(tmp_path):
    assert only(tmp_path, HEAD + "reducers:\n  out: merge\n  out.log: append\n")[1] == HEAD_LINES + 3


def test_a_value_that_no_context_could_hold_is_refused(tmp_path):
    plan = "plan:\n  - {id: a, agent: one, action: work, when: {path: seed, value: %s}}\n"
    assert only(tmp_path, HEAD + plan % ("[" * 35 + "]" * 35))[1] == HEAD_LINES + 2


def test_what_may_be_named_where_a_folder_has_no_team(tmp_path):
    with pytest.raises(TeamError) as bare:
        Team.load(tmp_path)
    assert bare.value.fix.startswith(f"name the folder of a team, or write {tmp_path / 'team.yaml'}")
    for name in "abcdef":
        (tmp_path / f"{name}.yaml").touch()
    with pytest.raises(TeamError) as full:
        Team.load(tmp_path)
    assert full.value.fix.startswith(f"name a team file: {tmp_path / 'a.yaml'}, ")
    assert full.value.fix.endswith("e.yaml (1 more)")
