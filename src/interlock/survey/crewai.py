"""Reads a crew of CrewAI: its agents and tasks as objects. No task is begun, no model is asked.

Nothing of CrewAI is imported here: what is read are the fields of its objects.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from interlock.agents.secret import hidden
from interlock.core import paths
from interlock.errors import InputError

from . import source
from .system import (
    NAME_CHARS_MAX,
    START,
    STEPS_MAX,
    Edge,
    Finding,
    Key,
    Sign,
    Step,
    System,
    Worker,
    ids_of,
    listed,
    shown,
)

MANAGER = "manager"
RESULTS = "results"
TOOLS_MAX = 100
TEXT_CHARS_MAX, PLACEHOLDERS_MAX = 4_000, 100
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_\-]*)\}")
_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object"})


def system_of(crew: Any, reference: str) -> System:
    """The system that a crew is. Raises InputError for one that is empty, or too large."""
    if not crew.tasks:
        raise InputError(f"{reference} has no tasks", fix="name a crew that has some")
    if len(crew.tasks) + len(crew.agents) > STEPS_MAX:
        raise InputError(f"{reference} has more than {STEPS_MAX:,} agents and tasks", fix="audit its parts")
    return _Crew(crew, reference).system()


class _Crew:
    """One crew under reading."""

    def __init__(self, crew: Any, reference: str) -> None:
        self._crew, self._reference = crew, reference
        self._tasks: list[Any] = list(crew.tasks)
        self._is_managed = getattr(crew.process, "value", "") == "hierarchical"
        agents = [*crew.agents, *(task.agent for task in self._tasks if task.agent is not None)]
        self._agents: list[Any] = list({id(agent): agent for agent in agents}.values())
        self._manager = crew.manager_agent
        roles = _unlike([_line(agent.role) for agent in self._agents])
        ids, self._findings = ids_of([*roles, *([MANAGER] if self._needs_manager() else [])], "agent")
        self._agent_ids = {id(agent): ids[role] for agent, role in zip(self._agents, roles, strict=True)}
        self._manager_id = ids.get(MANAGER, "")
        names = _unlike([_line(task.name) or f"task_{number}" for number, task in enumerate(self._tasks, 1)])
        task_ids, renamed = ids_of(names, "task")
        self._task_ids = {id(task): task_ids[name] for task, name in zip(self._tasks, names, strict=True)}
        self._findings += renamed

    def _needs_manager(self) -> bool:
        return any(task.agent is None for task in self._tasks)

    def system(self) -> System:
        """All of it."""
        keys = {path: Key(path) for task in self._tasks for path in (self._result(task), *self._asked(task))}
        workers = [self._worker(agent) for agent in self._agents]
        if self._manager_id:
            workers.append(Worker(self._manager_id, "the manager, which decides who does a task", ""))
        steps = [self._step(number, task) for number, task in enumerate(self._tasks)]
        self._findings += [*self._of_the_whole(), *self._of_agents(), *self._of_tasks()]
        return System("crewai", self._reference, keys, workers, steps, [*self._edges()], self._findings)

    # - agents and tasks -

    def _worker(self, agent: Any) -> Worker:
        seconds = agent.__dict__.get("max_execution_time") or 0
        told = f"{shown(_line(agent.role))}: {shown(hidden(_line(agent.goal)))}"
        own = [task for task in self._tasks if task.agent is agent]
        tools = [name for holder in (agent, *own) for name in _tools(holder)]
        retries = agent.__dict__.get("max_retry_limit")
        return Worker(
            self._agent_ids[id(agent)],
            told,
            "",
            tuple(dict.fromkeys(tools)),
            timeout_ms=round(seconds * 1_000),
            retries=retries,
        )

    def _doer(self, task: Any) -> str:
        return self._manager_id if task.agent is None else self._agent_ids[id(task.agent)]

    def _result(self, task: Any) -> str:
        return paths.join((RESULTS, self._task_ids[id(task)]))

    def _asked(self, task: Any) -> list[str]:
        """The paths that the placeholders of a task and of its agent name."""
        agent = task.agent
        texts = [task.description, task.expected_output]
        texts += [agent.role, agent.goal, agent.backstory] if agent is not None else []
        names = [
            name for text in texts if isinstance(text, str) for name in _PLACEHOLDER.findall(text[:TEXT_CHARS_MAX])
        ]
        short = dict.fromkeys(name[:NAME_CHARS_MAX] for name in names)
        return [paths.join((name,)) for name in list(short)[:PLACEHOLDERS_MAX] if name != RESULTS]

    def _step(self, number: int, task: Any) -> Step:
        schema = self._schema(task)
        return Step(
            self._task_ids[id(task)],
            self._doer(task),
            self._task_ids[id(task)],
            (*self._asked(task), *map(self._result, self._shown(number, task))),
            (self._result(task),),
            effects=tuple(self._effects(task)),
            asks=bool(task.human_input),
            instructions=_text(task.description),
            schema=schema,
        )

    def _shown(self, number: int, task: Any) -> list[Any]:
        """The tasks whose results a task is shown: those of its context, else all before it."""
        if isinstance(task.context, list):
            return [other for other in task.context if id(other) in self._task_ids]
        before = self._tasks[:number]
        if task.async_execution:
            return [other for other in before if not other.async_execution][-1:]
        return [] if task.context is None else before

    def _effects(self, task: Any) -> Iterator[Sign]:
        where = self._task_ids[id(task)]
        names = [name for holder in (task.agent, task) if holder is not None for name in _tools(holder)]
        yield from (Sign(f"tool {name}", where) for name in dict.fromkeys(names) if source.acts(name))
        if task.output_file:
            yield Sign(f"writes {shown(_line(task.output_file))}", where)

    def _schema(self, task: Any) -> Mapping[str, Any]:
        model = task.output_pydantic or task.output_json
        if model is None:
            return {}
        found = model.model_json_schema()
        fields = list(found.get("properties", {}).items())[:PLACEHOLDERS_MAX]
        typed = {name: {"type": one["type"]} for name, one in fields if one.get("type") in _TYPES}
        required = [name for name in found.get("required", ()) if name in dict(fields)]
        path = self._result(task)
        return {"required": [path], "properties": {path: {"type": "object", "required": required, "properties": typed}}}

    def _edges(self) -> Iterator[Edge]:
        """One after another; those that are async beside each other, until one comes that isn't."""
        last, pending = START, list[str]()
        for number, task in enumerate(self._tasks):
            name = self._task_ids[id(task)]
            shown_now = [self._task_ids[id(other)] for other in self._shown(number, task)]
            needs = [last, *(one for one in shown_now if one in pending)] if task.async_execution else pending or [last]
            yield from (Edge(need, name, joint=True) for need in dict.fromkeys(needs))
            if task.async_execution:
                pending.append(name)
            else:
                last, pending = name, []

    # - what only CrewAI knows of -

    def _of_the_whole(self) -> Iterator[Finding]:
        crew, name = self._crew, self._reference
        if not crew.checkpoint:
            message = "the crew has no checkpoint: what a crash interrupts begins again, and is paid for again"
            fix = "Crew(checkpoint=True) notes its state; Interlock journals each step by itself"
            yield Finding("no_checkpoint", "warning", name, (), (), message, fix)
        if crew.memory:
            message = "all agents share one memory: what one of them says is told to any other, and outlasts the run"
            fix = "in a team, an agent sees the fields of its context_access, and no others"
            yield Finding("shared_memory", "warning", name, (*self._agent_ids.values(),), (), message, fix)
        if self._is_managed:
            message = (
                "a manager decides while the crew works who does a task: what each may do is known to its prompt alone"
            )
            fix = "give each task its agent; an agent can have another go on by on_request"
            yield Finding("managed", "warning", name, (), (), message, fix)
        if crew.planning:
            message = "a model plans the tasks before each run, and nothing checks its plan"
            yield Finding("planned", "info", name, (), (), message, "write the plan down, as in the team file")
        if not crew.max_rpm:
            unbounded = tuple(self._agent_ids[id(agent)] for agent in self._agents if not agent.max_rpm)
            if unbounded:
                message = f"nothing bounds how many requests {listed(unbounded)} makes in a minute"
                fix = "set max_rpm; in a team, rate: {requests: 60/min} is kept over all runs"
                yield Finding("no_rate", "info", name, unbounded, (), message, fix)

    def _of_agents(self) -> Iterator[Finding]:
        name = self._reference
        slow = tuple(self._agent_ids[id(one)] for one in self._agents if not one.__dict__.get("max_execution_time"))
        if slow:
            message = f"nothing bounds how long {listed(slow)} may take: one that hangs, hangs for ever"
            fix = "set max_execution_time, which lets its request run on; in a team, a timeout ends the process"
            yield Finding("no_timeout", "warning", name, slow, (), message, fix)
        passing = tuple(self._agent_ids[id(agent)] for agent in self._agents if agent.allow_delegation)
        if passing and len(self._agents) > 1:
            message = f"{listed(passing)} may hand work to any other agent, and be handed it back"
            fix = "set allow_delegation=False; in a team, on_request names which step an agent may have run"
            yield Finding("delegation", "warning", name, passing, (), message, fix)
        rounds = {self._agent_ids[id(agent)]: agent.max_iter for agent in self._agents}
        told = listed(f"{agent}: {most}" for agent, most in rounds.items())
        message = f"for one task, an agent asks its model as often as its max_iter allows ({told}), whatever that costs"
        yield Finding(
            "loop", "info", name, tuple(rounds), (), message, "give the team a budget: {usd: ..., calls: ...}"
        )

    def _of_tasks(self) -> Iterator[Finding]:
        open_ = tuple(self._task_ids[id(task)] for task in self._tasks if not _is_checked(task))
        if open_:
            message = f"whatever {listed(open_)} answers is passed on: nothing says what it must look like"
            fix = "give it output_pydantic or a guardrail; in a team file, schema and guardrails"
            yield Finding("unchecked", "warning", listed(open_, 3), (), (), message, fix)
        number = [self._task_ids[id(t)] for n, t in enumerate(self._tasks) if n > 1 and len(self._shown(n, t)) == n]
        if number:
            message = f"{listed(number)} is shown the results of all tasks before it: no context is named"
            fix = "name its context; the team file grants what is shown now, so take away what isn't needed"
            yield Finding("reads_all", "info", listed(number, 3), (), (), message, fix)
        files: dict[str, list[str]] = {}
        for task in self._tasks:
            if task.output_file:
                files.setdefault(shown(_line(task.output_file)), []).append(self._task_ids[id(task)])
        for file, several in files.items():
            if len(several) > 1:
                message = f"{listed(several)} write the file {file}: the last one wins, silently"
                yield Finding("same_file", "warning", file, (), (), message, "give each a file of its own")


def _is_checked(task: Any) -> bool:
    return any((task.output_pydantic, task.output_json, task.guardrail, task.guardrails))


def _tools(holder: Any) -> list[str]:
    """The names of the tools of an agent or task."""
    names = [getattr(tool, "name", None) for tool in (holder.tools or ())[:TOOLS_MAX]]
    return [shown(_line(name)) or "tool" for name in names if isinstance(name, str)]


def _unlike(names: list[str]) -> list[str]:
    """The same names, with a number where one came before."""
    found: dict[str, None] = {}
    for name in names:
        number, unlike = 2, name
        while unlike in found:
            unlike, number = f"{name} {number}", number + 1
        found[unlike] = None
    return list(found)


def _line(text: Any) -> str:
    return " ".join(text[:TEXT_CHARS_MAX].split()) if isinstance(text, str) else ""


def _text(text: Any) -> str:
    """A text for the team file, without what is secret in it or can't be written."""
    kept = hidden(text[:TEXT_CHARS_MAX]) if isinstance(text, str) else ""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in kept).strip()
