"""Runs crews of CrewAI in a worker process. A crew and its LLMs keep state, so each job gets new ones.

CrewAI asks again at three levels when a model fails, sends traces home, and keeps files for the next run. All that is
switched off here: Interlock alone retries, and no job sees what another has left.
"""

import gc
import logging
import os
import re
import shutil
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.job import Job, Reply
from interlock.errors import AgentRefused, ContextTooLong

from .extras import load
from .failure import LINKS_MAX
from .foreign import ForeignAdapter, Meter, Translation
from .prompt import Prompt, data_of

ENVIRONMENT = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TESTING": "true",  # asks nothing on a first run
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
}
# Imported by CrewAI's clients with their first request, when a timeout runs already.
LATE_IMPORTS = ("openai.resources",)
EVENTS_SECONDS_MAX = 5.0
# Where CrewAI keeps what tasks have answered: a database, which takes many times longer to set up than to copy.
ANSWERS = "latest_kickoff_task_outputs.db"
FILTERED = "content_filter"
# What CrewAI takes for a placeholder, in texts of ours as in its own templates.
_PLACEHOLDER = re.compile(r"\{(?=[A-Za-z_][A-Za-z0-9_\-]*\})")
_ROLES = ("llm", "function_calling_llm", "manager_llm", "planning_llm", "chat_llm")


def bound(reference: str, options: Mapping[str, Any], find: Callable[[str], Any]) -> Callable[[Job], Reply]:
    """The function of a job that has a crew of this factory do it. Raises InterlockError for what is no factory.

    options: `storage`, the folder for all that crews store; `instructions`, `price`, and references as `input` and
    `output`.
    """
    storage = Path(options["storage"]) / str(os.getpid())
    _settle(storage)
    framework = load("crewai", "crewai")
    make = find(reference)
    if isinstance(make, framework.Crew) or not callable(make):
        raise AgentRefused(
            f"{reference} is a {type(make).__name__}, not a function that makes a new crew for each call"
        )
    translation = Translation.of(options, find)
    if not logging.root.handlers:  # CrewAI logs what models answer, and would set up a handler by that
        logging.root.addHandler(logging.NullHandler())
    return ForeignAdapter(Crews(reference, make, translation, storage / "crew"), options.get("price")).at_once


def _settle(storage: Path) -> None:
    """Make a folder for whatever is stored here, and remove those of workers that are gone."""
    storage.parent.mkdir(0o700, exist_ok=True)
    for folder in storage.parent.iterdir():
        if not _is_alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)
    storage.mkdir(exist_ok=True)
    os.environ.update(ENVIRONMENT, CREWAI_STORAGE_DIR=str(storage / "modules"), TMPDIR=str(storage))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # it has ended, or its number has gone to another's
        return False
    return True


class Crews:
    """Crews that a factory makes, as a Foreigner: one for each job, one job at a time.

    storage: where they store things; emptied for each.
    """

    def __init__(self, reference: str, make: Callable[[], Any], translation: Translation, storage: Path) -> None:
        self._reference, self._make, self._translation, self._storage = reference, make, translation, storage
        self._ear = Ear()
        self._last: Callable[[], Any] = _nothing
        self._answers: bytes | None = None
        self._is_swept = False
        # What making one imports is imported before any call begins; a call meets the error of a factory that fails.
        with suppress(Exception):
            _warn(self._made())
            self._answers = (self._storage / ANSWERS).read_bytes()
        for module in LATE_IMPORTS:
            if module.partition(".")[0] in sys.modules:
                import_module(module)
        _settle_framework()
        gc.collect()
        gc.freeze()  # what is there by now stays, and need not be gone through for each job

    async def answer(self, job: Job, meter: Meter) -> Any:
        """The answer of a new crew. Under a running loop, it would work otherwise than its users know it."""
        crew = self._made()
        with self._ear.listening(meter):
            result = self._kicked_off(crew, job)
        answer = self._translation.answer(result, job, _usual)
        del crew, result
        gc.collect()  # a crew holds itself, and with it the connections of its LLMs
        self._is_swept = True
        return answer

    def _made(self) -> Any:
        if not self._is_swept:
            gc.collect()  # the last one failed, and its error has held it until now
        self._is_swept = False
        self._empty_storage()
        os.environ["CREWAI_STORAGE_DIR"] = str(self._storage)
        crew = self._make()
        if not isinstance(crew, load("crewai", "crewai").Crew):
            raise AgentRefused(f"{self._reference} returned a {type(crew).__name__}, not a crew")
        if crew is self._last():
            message = f"{self._reference} returned the same crew twice"
            raise AgentRefused(message, fix="make a new one for each call: a crew keeps state")
        self._last = weakref.ref(crew)
        return crew

    def _empty_storage(self) -> None:
        """Remove what the last crew has stored. The database for answers is put back as it was before any job."""
        if self._is_unused():
            return
        shutil.rmtree(self._storage, ignore_errors=True)
        if self._answers is not None:
            self._storage.mkdir(exist_ok=True)  # a thread of the last crew's may be writing there still
            (self._storage / ANSWERS).write_bytes(self._answers)

    def _is_unused(self) -> bool:
        """Whether the last crew has left there what it found: most store nothing."""
        try:
            names = [path.name for path in self._storage.iterdir()]
            return names == [ANSWERS] and (self._storage / ANSWERS).read_bytes() == self._answers
        except OSError:
            return False

    def _kicked_off(self, crew: Any, job: Job) -> Any:
        if self._translation.input is not None:
            inputs = self._translation.input(job)
        else:
            inputs = inputs_of(job, self._translation.prompt(job))
            _tell(crew)
        _prepare(crew)
        unknown = [name for name in crew.fetch_inputs() if name.isidentifier() and name not in inputs]
        if unknown:
            message = f"{self._reference}: the crew asks for {', '.join(sorted(unknown))}, which its job doesn't have"
            raise AgentRefused(message, fix=f"it has {', '.join(inputs)}; or make its inputs with a function, `input`")
        try:
            return crew.kickoff(inputs=inputs)
        except SystemExit as left:  # of all things, where a task is too long for its model and may not be summed up
            raise ContextTooLong(str(left)) from None
        except Exception as error:
            _forget_loop(error)
            raise

    async def close(self) -> None:
        """A crew ends with its worker."""


def inputs_of(job: Job, prompt: Prompt) -> dict[str, str]:
    """What a crew's templates may name: `task`, which is `instructions` and `data`; and each top level of the view.

    What is no text is written as JSON.
    """
    shown = {key: _text(value) for key, value in data_of(job).items()}
    instructions, data = _PLACEHOLDER.sub("{ ", prompt.instructions), _PLACEHOLDER.sub(r"\\u007b", prompt.data)
    return shown | {"instructions": instructions, "data": data, "task": f"{instructions}\n\n{data}"}


def _text(value: Any) -> str:
    """A value as text without placeholders: CrewAI would fill those, too, and with more than this job's own data."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub("{ ", value)
    return _PLACEHOLDER.sub(r"\\u007b", msgspec.json.encode(value).decode())


def _tell(crew: Any) -> None:
    """Let a crew that was written without Interlock hear its task, too: last, where its answer is made."""
    told = any(f"{{{name}}}" in task.description for task in crew.tasks for name in ("task", "instructions"))
    if crew.tasks and not told:
        crew.tasks[-1].description += "\n\n{task}"


def _prepare(crew: Any) -> None:
    """Switch off what a crew would do again by itself, answers that come in pieces, and notes for nobody.

    What its tasks answer is written to a database, in four durable transactions, for a command that replays them; and
    removed with all else that it has stored.
    """
    crew.stream = False
    notes = getattr(crew, "_task_output_handler", None)
    for name in ("reset", "update"):
        if hasattr(notes, name):
            setattr(notes, name, _note_nothing)
    for agent in _agents(crew):
        if hasattr(agent, "max_retry_limit"):
            agent.max_retry_limit = 0


def _note_nothing(*_: object) -> None:
    """Takes what a crew would note, and keeps none of it."""


def _settle_framework() -> None:
    """Switch off what CrewAI has no setting for. A version that has moved it goes on as it is."""
    with suppress(ImportError, AttributeError):
        retry: Any = import_module("crewai.llms.retry")
        retry._LLM_RATE_LIMIT_MAX_ATTEMPTS = 1  # noqa: SLF001 - it asks three times where a model is overrun
    with suppress(ImportError, AttributeError):
        context: Any = import_module("crewai.events.event_context")
        silent = context.MismatchBehavior.SILENT
        # A failed call is told twice otherwise: by its error, and as events that don't match.
        context._default_config = context.EventContextConfig(mismatch_behavior=silent, empty_pop_behavior=silent)  # noqa: SLF001


def _warn(crew: Any) -> None:
    """Say what only whoever wrote the crew can change: retries are a setting of its LLMs' clients."""
    models = {llm.model: llm.max_retries for llm in _llms(crew) if getattr(llm, "max_retries", 0)}
    for model, retries in models.items():
        sys.stderr.write(f"crewai: {model} asks again {retries} times by itself; give its LLM max_retries=0\n")


def _forget_loop(error: BaseException) -> None:
    """Cut off what no failure comes from: CrewAI asks for a running loop, and works on where it hears of none."""
    link: BaseException | None = error
    for _ in range(LINKS_MAX):
        if link is None:
            return
        if isinstance(link.__context__, RuntimeError) and str(link.__context__) == "no running event loop":
            link.__context__ = None
        link = link.__cause__ or link.__context__


def _agents(crew: Any) -> Iterator[Any]:
    yield from crew.agents
    if crew.manager_agent is not None:
        yield crew.manager_agent


def _llms(crew: Any) -> Iterator[Any]:
    """The LLMs of a crew, as far as they are objects already."""
    found = (getattr(holder, role, None) for holder in (crew, *_agents(crew)) for role in _ROLES)
    return (llm for llm in found if hasattr(llm, "model"))


def _nothing() -> None:
    """No crew has been made."""


def _usual(result: Any) -> Any:
    """The answer in a crew's result: the object that its last task was to make, else its text."""
    return next(found for found in (result.pydantic, result.json_dict, result.raw) if found is not None)


class Ear:
    """Hears which LLMs are asked, and how they end. Each counts for itself what it consumes, from its making on."""

    def __init__(self) -> None:
        from crewai.events import LLMCallCompletedEvent, LLMCallStartedEvent, crewai_event_bus

        self._bus = crewai_event_bus
        self._bus.on(LLMCallStartedEvent)(self._hear_start)
        self._bus.on(LLMCallCompletedEvent)(self._hear_end)
        self._asked: dict[int, Any] = {}
        self._listens = self._filtered = False
        self._before: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def _hear_start(self, llm: Any, event: Any) -> None:
        if self._listens:  # else it would hold the LLMs of other factories for ever
            self._asked[id(llm)] = llm

    def _hear_end(self, llm: Any, event: Any) -> None:
        self._filtered |= event.finish_reason == FILTERED

    @contextmanager
    def listening(self, meter: Meter) -> Iterator[None]:
        """Count on the meter what is consumed meanwhile. Raises AgentRefused for an answer that was withheld."""
        self._listens, self._filtered = True, False
        try:
            try:
                yield
            finally:
                self._count(meter)
                self._listens = False
        except Exception:
            if self._filtered:
                raise AgentRefused(f"the model's answer was withheld: {FILTERED}") from None
            raise

    def _count(self, meter: Meter) -> None:
        self._bus.flush(EVENTS_SECONDS_MAX)
        for llm in self._asked.values():
            used = self._used(llm)
            tokens, requests = (used.prompt_tokens, used.completion_tokens), used.successful_requests
            if requests:
                meter.add(str(llm.model), *tokens, cached=used.cached_prompt_tokens, requests=requests)
        self._asked = {}
        self._before = {key: kept for key, kept in self._before.items() if kept[0]() is not None}

    def _used(self, llm: Any) -> Any:
        """What one has consumed since it was counted last: a factory may give all its crews the same."""
        used, (known, before) = llm.get_token_usage_summary(), self._before.get(id(llm), (None, None))
        self._before[id(llm)] = (weakref.ref(llm), used)
        return used.delta_since(before) if known is not None and known() is llm else used
