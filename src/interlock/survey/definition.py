"""The definition of a function: found behind whatever wraps it, and in its file. Nothing is called."""

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

FILE_BYTES_MAX = 2_000_000
WRAPPERS_MAX = 10

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def unwrapped(function: Any) -> tuple[FunctionType | None, int]:
    """The function of Python behind a callable, and how many of its first parameters are filled in already."""
    skipped = 0
    for _ in range(WRAPPERS_MAX):
        if isinstance(function, partial):
            skipped, function = skipped + len(function.args), function.func
        elif isinstance(function, MethodType):
            skipped, function = skipped + 1, function.__func__
        elif isinstance(function, FunctionType):
            inner = vars(function).get("__wrapped__")
            if inner is None:
                return function, skipped
            function = inner
        elif isinstance(call := getattr(type(function), "__call__", None), FunctionType):  # noqa: B004 - it is looked at
            skipped, function = skipped + 1, call
        else:
            return None, 0
    return None, 0


def place(code: CodeType, folder: Path) -> str:
    """The file and line of a function; the file by its place in the folder, if it lies there."""
    path = Path(code.co_filename)
    name = str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
    return f"{name}:{code.co_firstlineno}"


def definition(code: CodeType) -> Function | None:
    """The definition of a function, if its file has exactly one there."""
    found = _definitions(code.co_filename).get((code.co_firstlineno, code.co_name), [])
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=64)
def _definitions(name: str) -> dict[tuple[int, str], list[Function]]:
    """The functions of a file by line and name; none where it can't be read."""
    found: dict[tuple[int, str], list[Function]] = {}
    for node in ast.walk(_tree(name)):
        if isinstance(node, Function):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            line = min(one.lineno for one in (node, *decorators))
            found.setdefault((line, getattr(node, "name", "<lambda>")), []).append(node)
    return found


def _tree(name: str) -> ast.Module:
    try:
        data = Path(name).read_bytes()
        return ast.parse(data) if len(data) <= FILE_BYTES_MAX else ast.Module([], [])
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def named(function: Any, names: frozenset[str]) -> Mapping[str, Any]:
    """The objects that names stand for in a function: in its module, or around it."""
    plain, _ = unwrapped(function)
    if plain is None:
        return {}
    found = {name: plain.__globals__[name] for name in sorted(names) if name in plain.__globals__}
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing is in it yet
            found[name] = cell.cell_contents
    return found


def returned(tree: Function) -> Iterator[ast.expr | None]:
    """What a function returns, wherever it does."""
    if isinstance(tree, ast.Lambda):
        yield tree.body
        return
    yield from (node.value for node in own(tree) if isinstance(node, ast.Return))


def own(tree: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions and classes in it."""
    rest: list[ast.AST] = [tree.body] if isinstance(tree, ast.Lambda) else [*tree.body]
    while rest:
        node = rest.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            rest[:0] = ast.iter_child_nodes(node)
