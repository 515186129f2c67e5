"""Runs whose plan has grown: told, replayed, explained, and found out where their journal was changed."""

import asyncio

import interlock as il
from interlock.core import events as e
from interlock.history import replay, story

from .runs import Noting, killed_and_resumed, ran, tampered

NEW = {"id": "x", "agent": "worker", "action": "work", "writes": ["out.x"]}


def grown():
    return il.Team(
        [
            il.Agent("worker", use=Noting(), scope=il.Scope(["work"], ["list"], ["out.*"])),
            il.Agent("lead", use=Noting(), scope=il.Scope(["decide"], ["out"], ["answer"])),
        ],
        il.Plan([il.Step("each", "worker", "work", for_each="list", writes=["out.{step}"])]),
        supervisor={"agent": "lead", "action": "decide"},
    )


def deciding(**more):
    return Noting(**{"decide-1": [il.Reply(output={"add": [NEW]})], "decide-2": [{"finish": {"answer": 1}}]}, **more)


def test_a_plan_that_has_grown_is_told_with_its_items_and_replays():
    record = ran(grown(), deciding(), {"list": [1, 2]})
    told = story(record)
    assert [step.id for step in told.steps] == ["each", "each-0", "each-1", "decide-1", "x", "decide-2"]
    assert [step.needs for step in told.steps[3:]] == [("each",), ("decide-1",), ("each", "decide-1", "x")]
    assert told.context["answer"] == 1
    assert [found for moment in replay(record) for found in moment.mismatches] == []


def test_what_was_decided_before_a_kill_is_not_asked_for_again():
    async def slow(job):
        await asyncio.sleep(1)
        return {"out.x": 1}

    agent = deciding(x=[slow])
    record = killed_and_resumed(grown(), agent, after=0.5, request={"list": []})
    assert story(record).status == "succeeded"
    assert [job.step for job, _ in agent.jobs] == ["decide-1", "x", "x", "decide-2"]


def test_what_was_changed_in_the_journal_is_found():
    record = ran(grown(), deciding(), {"list": [1, 2]})

    def said(kind, **fields):
        changed, _ = tampered(record, kind, fields)
        return [found.sentence for moment in replay(changed) for found in moment.mismatches][:1]

    assert said(e.DecisionCalled, needs=()) != []
    assert said(e.PlanRevised, finished=True) != []
