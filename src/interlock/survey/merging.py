"""What becomes of two values for one key, by the source of the function that merges them."""

import ast
from pathlib import Path
from typing import Any

from .definition import definition, place, returned, unwrapped
from .system import Merging


def merging(operator: Any, folder: Path) -> tuple[Merging, str]:
    """What becomes of two values by a reducer's source, and what it is called."""
    plain, skipped = unwrapped(operator)
    if plain is None:
        return "unknown", str(getattr(operator, "__name__", type(operator).__name__))
    told = f"{plain.__name__}() in {place(plain.__code__, folder)}"
    tree = definition(plain.__code__)
    names = [] if tree is None else [one.arg for one in (*tree.args.posonlyargs, *tree.args.args)][skipped:]
    if tree is None or len(names) < 2:  # noqa: PLR2004 - the old value and the new one
        return "unknown", told
    ways = {_way(value, names[0], names[1]) for value in returned(tree)}
    return (ways.pop() if len(ways) == 1 else "unknown"), told


def _way(value: ast.expr | None, old: str, new: str) -> Merging:
    """How an expression joins two values."""
    match value:
        case ast.Name(id=name) if name in (old, new):
            return "last" if name == new else "first"
        case ast.BoolOp(op=ast.Or(), values=[ast.Name(id=first), ast.Name(id=second)]) if {first, second} == {old, new}:
            return "last" if first == new else "first"
        case ast.IfExp(body=ast.Name(id=first), orelse=ast.Name(id=second)) if {first, second} == {old, new}:
            return "last" if first == new else "first"
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_either(left, old) and _is_either(right, new):
            return "append"
        case ast.List(elts=[ast.Starred(value=ast.Name(id=first)), ast.Starred(value=ast.Name(id=second))]) if {
            first,
            second,
        } == {old, new}:
            return "append"
        case ast.BinOp(left=left, op=ast.BitOr(), right=right) if _is_either(left, old) and _is_either(right, new):
            return "merge"
        case ast.Dict(keys=[None, None], values=[left, right]) if _is_either(left, old) and _is_either(right, new):
            return "merge"
    return "unknown"


def _is_either(value: ast.expr, name: str) -> bool:
    """Whether an expression is that name, or that name with something in its place where it is empty."""
    match value:
        case ast.Name(id=found) | ast.BoolOp(op=ast.Or(), values=[ast.Name(id=found), *_]):
            return found == name
    return False
