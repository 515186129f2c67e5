"""What performs effects: async functions in the loop, any other in a worker process."""

import asyncio

import pytest

import interlock as il
from interlock.agents.effects import performers
from interlock.agents.tools import Workshop
from interlock.errors import AgentCrashed, AgentRefused, NotPerformed, ReplyRefused, TeamError
from interlock.ports import unheard

MODULE = """
import os, time
import interlock as il

def keep(payload, idempotency_key):
    return [payload, idempotency_key, os.getpid()]

async def keep_async(payload, idempotency_key):
    return [payload, idempotency_key, os.getpid()]

def busy(payload, key):
    raise il.NotPerformed("busy", again=payload)

def broken(payload, key):
    raise OSError("the line broke")

def dies(payload, key):
    os._exit(3)

def strange(payload, key):
    return {1}

def little(payload):
    pass
"""


def team(folder, **effects):
    folder.joinpath("outside.py").write_text(MODULE)
    file = folder / "team.yaml"
    named = ", ".join(f"{name}: {use}" for name, use in effects.items())
    file.write_text(
        "agents: {ann: {allowed_actions: [], context_access: [], write_permissions: []}}\neffects: {" + named + "}\n"
    )
    return il.Team.load(file)


def perform(folder, function, payload=1):
    async def main():
        of = team(folder, it=f"outside:{function}")
        workshop = Workshop.of(of)
        performer = performers(of, workshop)["it"]
        began = []
        try:
            return await performer.perform(payload, "key", lambda **_: began.append(1))
        finally:
            assert began == [1]
            await performer.close()
            await workshop.close()

    return asyncio.run(main())


def test_a_function_is_given_the_payload_and_the_key_in_a_process_of_its_own(tmp_path):
    *told, process = perform(tmp_path, "keep", {"a": [1]})
    *told_async, this = perform(tmp_path, "keep_async", {"a": [1]})

    assert told == told_async == [{"a": [1]}, "key"]
    assert process != this


def test_that_nothing_was_done_is_told_through_the_pipe(tmp_path):
    with pytest.raises(NotPerformed, match="busy"):
        perform(tmp_path, "busy", payload=True)
    with pytest.raises(AgentRefused, match="busy"):
        perform(tmp_path, "busy", payload=False)


def test_any_other_error_says_nothing_of_what_was_done(tmp_path):
    with pytest.raises(il.AgentError, match=r"^OSError: the line broke"):
        perform(tmp_path, "broken")
    with pytest.raises(AgentCrashed):
        perform(tmp_path, "dies")


def test_a_result_that_is_no_json_is_told_apart(tmp_path):
    with pytest.raises(ReplyRefused, match="output"):
        perform(tmp_path, "strange")


def problem(of):
    with pytest.raises(TeamError) as caught:
        performers(of, Workshop.of(of))
    return [(found.line, found.sentence) for found in caught.value.problems]


def test_what_cannot_be_performed_is_told_with_its_line(tmp_path):
    of = team(tmp_path, a="outside:none", b="outside:little", c="{retries: 1}")

    assert problem(of) == [
        (2, "effect a: the module outside has no function none"),
        (2, "effect b: its function can't be called with a payload and an idempotency key"),
        (2, "effect c: nothing performs it"),
    ]


def test_a_function_that_no_process_can_import_is_refused():
    of = il.Team([il.Agent("ann")], effects={"a": lambda _payload, _key: None})

    assert problem(of) == [(0, "effect a: it isn't async, and no other process can import its function")]


def test_a_function_of_python_is_performed_in_the_loop():
    async def keep(payload, key):
        return [payload, key]

    of = il.Team([il.Agent("ann")], effects={"a": keep})
    assert asyncio.run(performers(of, Workshop.of(of))["a"].perform(1, "k", unheard)) == [1, "k"]


# --- agents in processes, which wait for effects ---

AGENTS = """
import interlock as il

def pays(job):
    return {"out.a": [job.effect("keep", 1, key="k"), job.effect("keep", 1, key="k")]}

async def pays_async(job):
    return {"out.a": await job.effect("keep", 1, key="k")}

def declined(job):
    try:
        job.effect("busy", False)
    except il.AgentRefused as error:
        return {"out.a": str(error)}

def wrong(job):
    try:
        job.effect("keep", {1})
    except il.AgentError as error:
        said = [str(error)]
    for name, key in ((7, "k"), ("keep", 7), ("unknown", "k")):
        try:
            job.effect(name, 1, key=key)
        except il.AgentError as error:
            said.append(str(error))
    return {"out.a": said}

def replies(job):
    return il.Reply(writes={"out.a": 1}, effects=[il.Effect("keep", {"a": 1}, key="k")])

def replies_badly(job):
    return il.Reply(writes={"out.a": 1}, effects={"all": ["keep", il.Effect("keep", {1})]}[job.view["which"]])
"""


def run(folder, use, **agent):
    folder.joinpath("outside.py").write_text(MODULE)
    folder.joinpath("agents.py").write_text(AGENTS)
    agent.setdefault("effects", "immediate")
    declared = "".join(f", {key}: {value}" for key, value in agent.items() if value)
    folder.joinpath("team.yaml").write_text(
        "effects: {keep: outside:keep_async, busy: outside:busy}\n"
        "agents: {ann: {allowed_actions: [act, keep, busy], context_access: ['*'], write_permissions: [out.*], "
        f"use: 'agents:{use}', retries: 0{declared}}}}}\nplan: [{{id: a, agent: ann, action: act}}]\n"
    )
    return il.run(il.Team.load(folder), {"which": "all"})


def test_a_function_in_a_process_needs_no_await(tmp_path):
    first, second = run(tmp_path, "pays").context["out.a"]

    assert first[0] == 1
    assert first[1].endswith("/a/effect:k")
    assert first == second, "the second is told from the record"


def test_an_async_function_in_a_process_awaits(tmp_path):
    assert run(tmp_path, "pays_async", isolation="process").context["out.a"][0] == 1


def test_what_was_not_performed_is_raised_in_the_process(tmp_path):
    assert run(tmp_path, "declined").context["out.a"] == "its effect busy was not performed: busy"


def test_what_cannot_be_asked_for_is_refused_in_the_process(tmp_path):
    said = run(tmp_path, "wrong").context["out.a"]

    assert said[0].startswith("the payload: ")
    assert said[1:3] == ["the name and the key of an effect are texts, not a int"] * 2
    assert said[3].startswith("ann may not ask for the effect 'unknown'")


def test_an_agent_in_a_process_that_is_not_declared_so_is_refused(tmp_path):
    assert "may not have effects performed while it works" in run(tmp_path, "pays", effects="").reason


def test_the_effects_of_a_reply_come_through_the_pipe(tmp_path):
    ended = run(tmp_path, "replies", effects="")

    assert (ended.status, ended.steps) == ("succeeded", {"a": "committed"})


def test_bad_effects_of_a_reply_are_refused_in_the_process(tmp_path):
    assert "an effect is not an interlock.Effect" in run(tmp_path, "replies_badly").reason
