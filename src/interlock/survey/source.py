"""What the source of a function says about it, without calling it: what it reads, returns, and does out there.

What can't be told from the source alone is None, or said to be open: a guess would become a permission.
"""

import ast
import re
from pathlib import Path
from typing import Any

import msgspec

from .definition import Function, definition, own, place, returned, unwrapped
from .system import Sign

DEPTH_MAX = 20
SIGNS_MAX = 20
_LOOKS = frozenset({"get", "pop", "setdefault"})
_CHANGES = frozenset(
    {
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "clear",
        "update",
        "setdefault",
        "popitem",
        "sort",
        "reverse",
        "add",
    }
)
# One word that says it all, or the first of several: post, send_mail.
_ALONE = frozenset(
    {"charge", "commit", "delete", "deploy", "email", "execute", "notify", "patch", "pay", "post", "publish"}
)
_ALONE |= {"put", "refund", "send", "sendmail", "submit", "transfer", "upload"}
_FIRST = _ALONE - {"execute", "put"} | {"book", "cancel", "drop", "insert", "upsert"}
_PROGRAMS = ("subprocess.", "os.system", "os.remove", "os.unlink", "shutil.rmtree")


class Reading(msgspec.Struct):
    """What a function's source says. reads, writes: keys; None where that isn't known. why: why not.

    goes: the nodes that it names as those that come next. many: it may name several. spread: the key of the list whose
    items it sends on. looks_at: the one key whose value it returns. changes: where it changes what it was given.
    """

    where: str = ""
    told: str = ""
    reads: frozenset[str] | None = None
    writes: frozenset[str] | None = None
    why: list[str] = []
    goes: list[str] = []
    goes_open: bool = False
    many: bool = False
    spread: str = ""
    sends: frozenset[str] = frozenset()
    looks_at: str = ""
    effects: list[Sign] = []
    changes: list[str] = []
    asks: bool = False
    names: frozenset[str] = frozenset()


def read(function: Any, folder: Path, keys: frozenset[str] = frozenset()) -> Reading:
    """What the source of a function of a state says. keys: those of the state, which may also be attributes."""
    plain, skipped = unwrapped(function)
    found = Reading()
    if plain is None:
        found.why = ["what it reads and writes, as its code is no function of Python"]
        return found
    code = plain.__code__
    found.where = place(code, folder)
    found.told = f"{plain.__name__}()"
    tree = definition(code)
    if tree is None:
        found.why = ["what it reads and writes, as its source is not to be had"]
        return found
    _Reader(tree, skipped, found, keys).read()
    return found


class _Reader:
    """Reads the definition of one function."""

    def __init__(self, tree: Function, skipped: int, found: Reading, keys: frozenset[str]) -> None:
        names = [one.arg for one in (*tree.args.posonlyargs, *tree.args.args)][skipped:]
        self._tree, self._found, self._keys = tree, found, keys
        self._state = names[0] if names else ""
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._file = found.where.rpartition(":")[0]
        self._changes: list[ast.expr] = []

    def read(self) -> None:
        """Fill in what is found."""
        found = self._found
        kind = "async " if isinstance(self._tree, ast.AsyncFunctionDef) else ""
        found.told = f"{kind}{getattr(self._tree, 'name', 'lambda')}({self._state})"
        found.names = frozenset(node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name))
        found.reads = self._reads()
        found.changes = [self._at(node) for node in sorted(self._changes, key=_position)]
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=_position):
            self._call(call)
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own(self._tree)):
            found.why.append(f"what it writes, as it yields that ({self._at(self._tree)})")
            return
        values = list(returned(self._tree))
        found.writes = self._united(values)
        self._route(values)

    def _at(self, node: ast.AST) -> str:
        return f"{self._file}:{getattr(node, 'lineno', 0)}"

    # - what it reads -

    def _reads(self) -> frozenset[str] | None:
        if not self._state:
            return frozenset()
        known: set[str] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and node.id == self._state:
                keys = self._looked_at(node)
                if keys is None:
                    self._found.why.append(f"what it reads, as it hands its whole state on ({self._at(node)})")
                    return None
                known |= keys
        return frozenset(known)

    def _looked_at(self, name: ast.Name) -> set[str] | None:
        """The keys that one mention of the state is about; None for all of them."""
        match name.ctx, self._parents[name]:
            case ast.Load(), ast.Subscript(value=value, slice=ast.Constant(value=str(key))) as place if value is name:
                self._changed(place)
                return {key}
            case ast.Load(), ast.Attribute(value=value, attr=attribute) as place if value is name:
                return self._by_attribute(place, attribute)
            case ast.Load(), ast.Compare(left=ast.Constant(value=str(key)), ops=[ast.In() | ast.NotIn()]):
                return {key}
            case ast.Load(), ast.Return():  # told by what it writes
                return set()
            case _:
                return None

    def _by_attribute(self, place: ast.Attribute, attribute: str) -> set[str] | None:
        if attribute in self._keys:
            self._changed(place)
            return {attribute}
        match self._parents[place]:
            case ast.Call(func=func, args=[ast.Constant(value=str(key)), *_]) if func is place and attribute in _LOOKS:
                if attribute != "get":
                    self._changes.append(place)
                return {key}
        if attribute in _CHANGES:
            self._changes.append(place)
        return None

    def _changed(self, place: ast.Subscript | ast.Attribute) -> None:
        """Note where a part of the state is changed in place: the others may see that, and no journal does."""
        outer: ast.AST = place
        while (
            isinstance(self._parents.get(outer), ast.Subscript)
            and getattr(self._parents[outer], "value", None) is outer
        ):
            outer = self._parents[outer]
        match self._parents.get(outer):
            case ast.Attribute(value=value, attr=attribute) as method if value is outer and attribute in _CHANGES:
                call = self._parents[method]
                if isinstance(call, ast.Call) and call.func is method:
                    self._changes.append(place)
        if isinstance(getattr(outer, "ctx", None), ast.Store | ast.Del):
            self._changes.append(place)

    # - what it writes -

    def _united(self, values: list[ast.expr | None]) -> frozenset[str] | None:
        keys: set[str] = set()
        for value in values:
            found = self._keys_of(value)
            if found is None:
                self._found.why.append(f"what it writes, as that is not written out ({self._at(value or self._tree)})")
                return None
            keys |= found
        return frozenset(keys)

    def _keys_of(self, value: ast.expr | None, depth: int = 0) -> set[str] | None:
        """The keys that an expression writes when it is returned; None where that isn't known."""
        if depth > DEPTH_MAX:
            return None
        each: list[ast.expr] = []
        match value:
            case None | ast.Constant(value=None):
                return set()
            case ast.Dict(keys=keys, values=values):
                named = {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
                each = [inner for key, inner in zip(keys, values, strict=True) if key is None]
                if len(named) + len(each) < len(keys):
                    return None
                return self._all([named, *(self._keys_of(inner, depth + 1) for inner in each)])
            case ast.Call(func=func, keywords=keywords) if _last(func) == "Command":
                given = {one.arg: one.value for one in keywords}
                self._goes(given.get("goto"))
                return self._keys_of(given.get("update"), depth + 1)
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if name == "dict" or name[:1].isupper():
                names = [one.arg for one in keywords]
                return None if None in names or not self._are_keys(name, names) else {str(one) for one in names}
            case ast.List(elts=each) | ast.Tuple(elts=each) | ast.BoolOp(values=each):
                return self._all([self._keys_of(inner, depth + 1) for inner in each])
            case ast.IfExp(body=body, orelse=orelse):
                return self._all([self._keys_of(inner, depth + 1) for inner in (body, orelse)])
            case ast.Name(id=name) if name != self._state:
                return self._of_variable(name, depth + 1)
        return None

    def _are_keys(self, name: str, names: list[str | None]) -> bool:
        """Whether a call makes a state: a dict, or a class all of whose fields are keys of it."""
        return name == "dict" or (bool(names) and all(one in self._keys for one in names))

    @staticmethod
    def _all(each: list[set[str] | None]) -> set[str] | None:
        known = [one for one in each if one is not None]
        return set().union(*known) if len(known) == len(each) else None

    def _of_variable(self, name: str, depth: int) -> set[str] | None:
        """The keys of a variable that only ever holds what is written out here, and is given to nobody."""
        keys: set[str] = set()
        assigned = False
        for node in own(self._tree):
            if not isinstance(node, ast.Name) or node.id != name:
                continue
            match self._parents[node]:
                case ast.Assign(targets=[target], value=value) if target is node:
                    found, assigned = self._keys_of(value, depth), True
                case ast.AnnAssign(target=target, value=ast.expr() as value) if target is node:
                    found, assigned = self._keys_of(value, depth), True
                case ast.Subscript(value=holder, slice=ast.Constant(value=str(key))) if holder is node:
                    found = {key}
                case ast.Return():
                    found = set()
                case _:
                    return None
            if found is None:
                return None
            keys |= found
        return keys if assigned else None

    # - where it goes -

    def _route(self, values: list[ast.expr | None]) -> None:
        """What the function says as one that decides which nodes come next."""
        found = self._found
        looks = {self._returned_key(value) for value in values}
        found.looks_at = looks.pop() if len(looks) == 1 else ""
        for value in values:
            self._goes(value)

    def _returned_key(self, value: ast.expr | None) -> str:
        match value:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name == self._state:
                return key
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=str(key))]):
                return key if name == self._state else ""
            case ast.Attribute(value=ast.Name(id=name), attr=key) if name == self._state and key in self._keys:
                return key
        return ""

    def _goes(self, value: ast.expr | None, depth: int = 0) -> None:
        """Collect the nodes that an expression names."""
        found = self._found
        match value:
            case ast.Constant(value=str(name)):
                found.goes.append(name)
            case ast.Name(id="END"):
                found.goes.append("__end__")
            case ast.IfExp(body=body, orelse=orelse) if depth < DEPTH_MAX:
                self._goes(body, depth + 1)
                self._goes(orelse, depth + 1)
            case ast.List(elts=each) | ast.Tuple(elts=each) if depth < DEPTH_MAX:
                found.many = True
                for inner in each:
                    self._goes(inner, depth + 1)
            case ast.ListComp(elt=elt, generators=[ast.comprehension(iter=items), *_]) if depth < DEPTH_MAX:
                found.many = True
                found.spread = self._returned_key(items)
                self._goes(elt, depth + 1)
            case ast.Call(func=func, args=[target, *given]) if _last(func) == "Send" and depth < DEPTH_MAX:
                found.many = True
                found.sends |= frozenset(self._keys_of(given[0]) or ()) if given else frozenset()
                self._goes(target, depth + 1)
            case None | ast.Constant(value=None):
                pass
            case _:
                found.goes_open = True

    # - what it does -

    def _call(self, call: ast.Call) -> None:
        name = dotted(call.func)
        last = _last(call.func)
        self._found.asks |= last == "interrupt"
        if self._looks_like_effect(call, name, last) and len(self._found.effects) < SIGNS_MAX:
            self._found.effects.append(Sign(f"{name or last}()", self._at(call)))

    def _looks_like_effect(self, call: ast.Call, name: str, last: str) -> bool:
        if name.startswith(_PROGRAMS):
            return True
        return acts(last) and not isinstance(call.func, ast.Subscript)


def _position(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def acts(name: str) -> bool:
    """Whether a name says that something is done out there: refund, send_mail, postMessage."""
    words = re.findall(r"[A-Z]?[a-z]+", name)
    return bool(words) and (name.lower() in _ALONE if len(words) == 1 else words[0].lower() in _FIRST)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of such an expression; nothing for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join(reversed([*names, node.id])) if isinstance(node, ast.Name) else ""


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
