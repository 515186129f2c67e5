"""Find the code behind `use: module:function`.

A team's folder is on the import path, and each team has its own modules: two folders that both have an `agents.py` are
no trouble in one process. When another folder's turn comes, the modules of the one before are put aside, and come back
when it is asked for again; so does what had their names before, once none of the folder's own modules stands for it.
The functions that came from them keep working. What a function imports only when it is called is looked up in the
folder that was asked for last.
"""

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from interlock.core.naming import hint
from interlock.core.values import described
from interlock.errors import TeamError

from .agent import Agent, contradictions
from .choosing import Chooser
from .model import Team
from .values import USE


class _Folders:
    """Which folder's modules are in place, and those of the others.

    displaced: what had the names of the active folder's modules before they came.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.aside: dict[Path, dict[str, ModuleType]] = {}
        self._displaced: dict[str, ModuleType] = {}
        self._active: Path | None = None
        self._on_path = False

    def activate(self, folder: Path) -> None:
        """Put this folder first on the import path, its modules in place and another folder's aside."""
        importlib.invalidate_caches()
        if folder == self._active and (not self._on_path or str(folder) in sys.path):
            self._make_room(folder)
            return
        if self._active is not None:
            self.aside[self._active] = _taken(_modules_of(self._active))
            for name, module in self._displaced.items():
                sys.modules.setdefault(name, module)
            self._displaced = {}
            if self._on_path and str(self._active) in sys.path:
                sys.path.remove(str(self._active))
        self._on_path = str(folder) not in sys.path[:1]
        if self._on_path:
            sys.path.insert(0, str(folder))
        self._active = folder
        self._make_room(folder)
        sys.modules.update(self.aside.pop(folder, {}))

    def _make_room(self, folder: Path) -> None:
        """Put modules from elsewhere aside that go by the name of one that the folder has."""
        own = set(_top_names(folder)) - set(sys.stdlib_module_names)
        foreign = {
            top for name, module in _modules() if (top := _top(name)) in own and not _found_in(folder, module, top)
        }
        self._displaced |= _taken(name for name, _ in _modules() if _top(name) in foreign)


_folders = _Folders()


def resolve(reference: str, folder: Path | None = None) -> Callable[..., Any]:
    """The callable that "module:function" names, with the team's folder first on the import path.

    Raises TeamError: no such module or function, not callable, or the import failed.
    """
    found = find(reference, folder)
    if isinstance(found, type) or not callable(found):
        what = "is a class" if isinstance(found, type) else f"is a {type(found).__name__}"
        raise TeamError(f"{reference} {what}, not a function", fix="name a function, or an object that can be called")
    return found  # type: ignore[no-any-return]


def find(reference: str, folder: Path | None = None) -> Any:
    """The object that "module:name" names, with the team's folder first on the import path.

    Raises TeamError: no such module or name, or the import failed.
    """
    problem = next(USE.problems(reference, ("use",)), None)
    if problem is not None:
        raise problem
    module_name, _, function_name = reference.partition(":")
    with _folders.lock:
        if folder is not None:
            _folders.activate(folder.resolve())
        module = _imported(module_name, folder)
    found = getattr(module, function_name, None)
    if found is None:
        # What is meant need not be a function: a graph of a framework is called otherwise.
        named = [name for name, value in vars(module).items() if not isinstance(value, ModuleType)]
        names = [name for name in named if not name.startswith("_")]
        raise TeamError(f"the module {module_name} has no function {function_name}{hint(function_name, names)}")
    return found


def code_of(agent: Agent, folder: Path | None = None) -> Callable[..., Any]:
    """The callable behind an agent. Raises TeamError: none is declared, it isn't found, or its decorator disagrees."""
    place = ("agents", agent.name, "use")
    if agent.choose is not None:
        return Chooser(agent.choose)
    if agent.kind not in {"use", ""}:
        message = f"agent {agent.name} has no code of its own: it is declared by {agent.kind}"
        raise TeamError(message, fix="give it a fake here", place=(*place[:2], agent.kind))
    if agent.use is None:
        raise TeamError(f"agent {agent.name} has no use", fix="name its code: use: module:function", place=place[:2])
    if not isinstance(agent.use, str):
        assert callable(agent.use), agent.use  # a team is kept as one
        return agent.use
    try:
        found = resolve(agent.use, folder)
    except TeamError as error:
        message = f"agent {agent.name} uses {agent.use}: {error.sentence}"
        raise TeamError(message, fix=error.fix, place=place, agents=(agent.name,)) from error.__cause__
    problems = [*contradictions(agent, found)]
    if problems:
        raise TeamError.of(problems)
    return found


def resolve_all(team: Team) -> dict[str, Callable[..., Any]]:
    """The code of every agent of a team that has some, by name.

    Raises TeamError with every problem found, in file and line.
    """
    found: dict[str, Callable[..., Any]] = {}
    problems: list[TeamError] = []
    for name, agent in team.agents.items():
        if agent.team is not None:
            continue
        try:
            found[name] = code_of(agent, team.folder)
        except TeamError as error:
            problems += [team.locate(problem) for problem in error.problems]
    if problems:
        raise TeamError.of(problems)
    return found


def resolve_guardrails(team: Team) -> None:
    """Find the code that guardrails name. Raises TeamError with every problem found, in file and line."""
    problems: list[TeamError] = []
    for place, guardrail in team.rules.guardrails():
        resolve = getattr(guardrail, "resolve", None)
        try:
            if resolve is not None:
                resolve()
        except TeamError as error:
            message = f"a guardrail of {place[1]}: {error.sentence}"
            found = TeamError(message, fix=error.fix, place=place)
            problems.append(team.locate(found))
    if problems:
        raise TeamError.of(problems)


def importable(function: Any) -> str | None:
    """The "module:function" by which another process can import a callable again; None where there is none.

    There is none for lambdas, nested functions, bound methods, functions of `__main__`, and what is not found under
    its own name in its own module.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or not name.isidentifier():
        return None
    with _folders.lock:
        candidates = [sys.modules.get(module), *(modules.get(module) for modules in _folders.aside.values())]
    if any(getattr(candidate, name, None) is function for candidate in candidates if candidate is not None):
        return described(function)
    return None


# --- modules ---


def _imported(name: str, folder: Path | None) -> ModuleType:
    top = _top(name)
    if folder is not None and top in sys.stdlib_module_names and top in _top_names(folder):
        raise TeamError(f"the module {top} of the team has the name of one of Python's own", fix="rename the file")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _import_failed(name, folder, error) from error
        near = hint(name, _top_names(folder) if folder is not None else ())
        fix = f"it is looked for in {folder} and on the import path" if folder is not None else "check the import path"
        raise TeamError(f"there is no module {error.name}{near}", fix=fix) from None
    except (Exception, SystemExit) as error:
        raise _import_failed(name, folder, error) from error


def _import_failed(name: str, folder: Path | None, error: BaseException) -> TeamError:
    """What the import raised, and where: the last line of the team's own code that was on the way."""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{Path(error.filename).name}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [
            frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder.resolve())
        ]
        last = (own or frames)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
    said = " ".join(traceback.format_exception_only(error)[-1].split())
    fix = "install it, or mend the import" if isinstance(error, ModuleNotFoundError) else "mend it there"
    return TeamError(f"importing {name} failed in {where}: {said}", fix=fix)


def _taken(names: Iterable[str]) -> dict[str, ModuleType]:
    """Take modules out of sys.modules."""
    return {name: sys.modules.pop(name) for name in list(names)}


def _modules() -> Iterator[tuple[str, ModuleType]]:
    """The loaded modules that may belong to a team."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and _top(name) not in {"__main__", "interlock"}:
            yield name, module


def _modules_of(folder: Path) -> Iterator[str]:
    """The names of the loaded modules that come from a folder."""
    tops = {_top(entry.name) for entry in _entries(folder)}
    return (name for name, module in _modules() if (top := _top(name)) in tops and _found_in(folder, module, top))


def _found_in(folder: Path, module: ModuleType, top: str) -> bool:
    """Whether a module was found with this folder on the import path: its place there begins with its own name.

    So a virtual environment below the folder is no part of it.
    """
    located = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    for location in map(Path, filter(None, located)):
        path = location.resolve()
        if path.is_relative_to(folder) and [_top(part) for part in path.relative_to(folder).parts[:1]] == [top]:
            return True
    return False


def _top(name: str) -> str:
    return name.partition(".")[0]


def _entries(folder: Path) -> list[Path]:
    try:
        return [*folder.iterdir()]
    except OSError:
        return []


def _top_names(folder: Path) -> list[str]:
    """The names of the modules and packages that stand in a folder."""
    names = {
        entry.stem if entry.suffix == ".py" else entry.name
        for entry in _entries(folder)
        if entry.suffix == ".py" or (entry / "__init__.py").is_file()
    }
    return sorted(filter(str.isidentifier, names))
