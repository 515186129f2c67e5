"""What is read out of functions, none of which is ever called."""

import functools
from pathlib import Path
from types import SimpleNamespace

import pytest

from interlock.survey import definition, merging, source

HERE = Path(__file__).parent
KEYS = frozenset({"a", "b", "c"})
smtp = SimpleNamespace()
Command = Send = SimpleNamespace
END = "__end__"


def read(function):
    return source.read(function, HERE, KEYS)


def helper(state):
    raise AssertionError


def writes_nothing(state):
    helper.told = state["a"]


def literal(state):
    if state.get("a"):
        return {"a": 1}
    return None if "b" in state else dict(a=1, c=2)  # noqa: C408 - that form is read, too


def variable(state):
    out = {"a": state.a}
    out["b"] = 1
    return out


def annotated(state):
    out: dict = {"c": 1}
    return out


def of_class(state):
    class State:
        pass

    return State(a=1, b=2)


def listed(state):
    return [Command(update={"a": 1}, goto="x"), Command(goto=["y", END])]


class Node:
    def __call__(self, state):
        return {"a": state["b"]}

    def method(self, state):
        return {"a": state["b"]}


def filled(model, state):
    return {"a": state["b"]}


@functools.wraps(literal)
def wrapped(*given):
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "reads", "writes"),
    [
        (writes_nothing, {"a"}, set()),
        (literal, {"a", "b"}, {"a", "c"}),
        (variable, {"a"}, {"a", "b"}),
        (annotated, set(), {"c"}),
        (of_class, set(), {"a", "b"}),
        (listed, set(), {"a"}),
        (Node(), {"b"}, {"a"}),
        (Node().method, {"b"}, {"a"}),
        (functools.partial(filled, None), {"b"}, {"a"}),
        (wrapped, {"a", "b"}, {"a", "c"}),
        (lambda s: {"a": s["b"]}, {"b"}, {"a"}),
        (lambda: {"a": 1}, set(), {"a"}),
    ],
)
def test_what_a_function_reads_and_writes(function, reads, writes):
    found = read(function)
    assert (found.reads, found.writes, found.why) == (reads, writes, [])


def hands_on(state):
    return {"a": helper(state)}


def spreads(state):
    return {**state, "a": 1}


def gives_back(state):
    state["a"] = 1
    return state


def elsewhere(state):
    return helper(1)


def named_later(state):
    key = state["a"]
    return {key: 1}


def handed_out(state):
    out = {"a": 1}
    helper(out)
    return out


def yields(state):
    yield {"a": 1}


def rebound(state):
    state = helper(state)
    return {"a": state["b"]}


@pytest.mark.parametrize(
    ("function", "reads", "writes"),
    [
        (hands_on, None, {"a"}),
        (spreads, None, None),
        (gives_back, {"a"}, None),
        (elsewhere, set(), None),
        (named_later, {"a"}, None),
        (handed_out, set(), None),
        (yields, set(), None),
        (rebound, None, {"a"}),
        (len, None, None),
        (eval("lambda state: {'a': 1}"), None, None),
        ((lambda s: {"a": 1}, lambda s: {"b": 1})[0], None, None),
    ],
)
def test_what_can_not_be_told_is_said_and_not_guessed(function, reads, writes):
    found = read(function)
    assert (found.reads, found.writes) == (reads, writes)
    assert found.why


def changes(state):
    state["a"].append(1)
    state["a"]["x"][0] = 1
    state.setdefault("b", [])
    state.b += 1
    del state["c"]
    [*state["a"]].append(2)
    return {}


def test_where_the_state_is_changed_in_place():
    lines = changes.__code__.co_firstlineno
    assert read(changes).changes == [f"test_source.py:{lines + number}" for number in range(1, 6)]


def acts(state):
    if interrupt("sure?"):
        smtp.send_message(state["a"])
    requests.post("http://x")
    subprocess.run(["ls"])
    state["a"].update(1)
    create_prompt()


interrupt = requests = subprocess = create_prompt = None


def test_what_looks_as_if_it_changed_something():
    found = read(acts)
    assert [sign.what for sign in found.effects] == ["smtp.send_message()", "requests.post()", "subprocess.run()"]
    assert found.asks


@pytest.mark.parametrize(
    ("name", "does"),
    [("refund", True), ("send_mail", True), ("postMessage", True), ("search", False), ("update", False), ("put", True)],
)
def test_names_that_say_that_something_is_done(name, does):
    assert source.acts(name) is does


def routed(state):
    if state["a"]:
        return "x"
    return END if state["b"] else "y"


def by_key(state):
    return state["a"]


def sent(state):
    return [Send("x", {"a": one, "b": 1}) for one in state["c"]]


def open_(state):
    return helper(state["a"])


@pytest.mark.parametrize(
    ("function", "goes", "is_open", "looks_at", "spread"),
    [
        (routed, ["x", "__end__", "y"], False, "", ""),
        (by_key, [], True, "a", ""),
        (lambda s: s.get("b"), [], True, "b", ""),
        (lambda s: s.c, [], True, "c", ""),
        (sent, ["x"], False, "", "c"),
        (open_, [], True, "", ""),
        (lambda s: ["x", "y"], ["x", "y"], False, "", ""),
    ],
)
def test_where_a_function_leads(function, goes, is_open, looks_at, spread):
    found = read(function)
    assert (found.goes, found.goes_open, found.looks_at, found.spread) == (goes, is_open, looks_at, spread)


def test_what_comes_with_an_item():
    assert read(sent).sends == {"a", "b"}


def last_of(old, new):
    if new is None:
        return new
    return new


def either(old, new):
    return old if new is None else [*old, *new]


@pytest.mark.parametrize(
    ("reducer", "way"),
    [
        (last_of, "last"),
        (lambda old, new: new or old, "last"),
        (lambda old, new: old or new, "first"),
        (lambda old, new: new if old is None else old, "last"),
        (lambda old, new: old, "first"),
        (lambda old, new: old + new, "append"),
        (lambda old, new: (old or []) + (new or []), "append"),
        (lambda old, new: [*old, *new], "append"),
        (lambda old, new: old | new, "merge"),
        (lambda old, new: {**old, **new}, "merge"),
        (lambda old, new: {**old, **new, "x": 1}, "unknown"),
        (lambda old, new: max(old, new, 0), "unknown"),
        (lambda new: new, "unknown"),
        (either, "unknown"),
        (max, "unknown"),
    ],
)
def test_what_a_reducer_keeps(reducer, way):
    assert merging.merging(reducer, HERE)[0] == way


def test_a_file_that_can_not_be_read_has_no_definitions(tmp_path):
    for number, text in enumerate([b"def f(:", b"\xff\xfe\x00", b"(" * 5_000, b"x = 1\n" * 400_000]):
        (tmp_path / f"f{number}.py").write_bytes(text)
        code = compile("def f(state): return {}", str(tmp_path / f"f{number}.py"), "exec").co_consts[0]
        assert definition.definition(code) is None


def test_wrappers_without_an_end_are_left_alone():
    def loop(state):
        raise AssertionError

    loop.__wrapped__ = loop
    assert definition.unwrapped(loop) == (None, 0)


def test_names_that_stand_for_nothing_yet_are_left_out():
    def around():
        def node(state):
            return late

        found = definition.named(node, frozenset({"late", "helper", "nothing"}))
        late = 1
        return found, late

    assert around()[0] == {"helper": helper}
