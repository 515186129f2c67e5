"""Graphs that the tests survey: a supervisor's loop, a fan-out with a shared key, a chain, and some of odd shapes."""

import operator
from typing import Annotated, Literal, TypedDict

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.channels import AnyValue, Topic, UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, RetryPolicy, Send, TimeoutPolicy, interrupt
from pydantic import BaseModel


@tool
def refund(order: str) -> str:
    """Give the money back."""
    raise AssertionError(order)


@tool
def search(order: str) -> str:
    """Look it up."""
    raise AssertionError(order)


TOOLS = [refund, search]


# --- a supervisor's loop ---


class Desk(MessagesState):
    answer: str


async def supervisor(state: Desk) -> Command[Literal["billing", "orders", "__end__"]]:
    if state.get("answer"):
        return Command(goto=END)
    return Command(goto="billing" if "money" in state["messages"][-1].content else "orders")


async def billing(state: Desk):
    return {"messages": [str(TOOLS)], "answer": "refunded"}


async def orders(state: Desk):
    return {"messages": [search.name], "answer": "on its way"}


_desk = StateGraph(Desk).add_node(supervisor).add_node(billing).add_node(orders)
_desk.add_edge(START, "supervisor").add_edge("billing", "supervisor").add_edge("orders", "supervisor")
desk = _desk.compile()


# --- a fan-out with a shared key ---


class Wide(TypedDict, total=False):
    topic: str
    draft: str
    notes: Annotated[list[str], operator.add]
    best: Annotated[dict, lambda old, new: new]
    score: Annotated[int, operator.add]
    seen: Annotated[dict, operator.or_]
    final: str


async def formal(state: Wide):
    return {"draft": "Dear " + state["topic"], "notes": ["f"], "best": {}, "score": 1, "seen": {}}


async def casual(state: Wide):
    return {"draft": "Hi " + state["topic"], "notes": ["c"], "best": {}, "score": 1, "seen": {}}


async def join(state: Wide):
    state["notes"].append("j")
    return {"final": state["draft"], "typo": 1}


_wide = StateGraph(Wide)
_wide.add_node(formal, timeout=TimeoutPolicy(run_timeout=20), retry_policy=RetryPolicy(max_attempts=4))
_wide.add_node(casual, timeout=TimeoutPolicy(idle_timeout=1.5)).add_node(join)
_wide.add_edge(START, "formal").add_edge(START, "casual").add_edge(["formal", "casual"], "join").add_edge("join", END)
wide = _wide.compile(checkpointer=InMemorySaver())
wide.step_timeout = 60


# --- a chain ---


class Line(BaseModel):
    text: str = ""
    short: str = ""


async def cut(line: Line):
    return {"short": line.text[:10]}


_line = StateGraph(Line).add_node("read mail!", lambda line: {"text": line.text.strip()}).add_node("cut", cut)
uncompiled = _line.add_edge(START, "read mail!").add_edge("read mail!", "cut").add_edge("cut", END)


def make_line():
    return uncompiled.compile()


_defaulted = StateGraph(Line).set_node_defaults(timeout=7, retry_policy=RetryPolicy(max_attempts=2))
_defaulted.add_node(cut).add_node("sort", cut, timeout=3).add_edge(START, "cut").add_edge("cut", "sort")
defaulted = _defaulted.compile()


# --- after LangGraph's pages on workflows and on people in the loop ---


class Report(TypedDict):
    topic: str
    sections: list[str]
    done: Annotated[list[str], operator.add]
    report: str


class Section(TypedDict):
    section: str
    done: Annotated[list[str], operator.add]


async def orchestrate(state: Report):
    return {"sections": [f"{state['topic']} {number}" for number in range(3)]}


async def write(state: Section):
    return {"done": [state["section"].upper()]}


async def synthesize(state: Report):
    return {"report": "\n".join(state["done"])}


def assign(state: Report):
    return [Send("write", {"section": one}) for one in state["sections"]]


_report = StateGraph(Report).add_node(orchestrate).add_node(write).add_node(synthesize)
_report.add_edge(START, "orchestrate").add_conditional_edges("orchestrate", assign, ["write"])
report = _report.add_edge("write", "synthesize").add_edge("synthesize", END).compile()


class Mail(TypedDict, total=False):
    kind: str
    draft: str
    sent: str


async def sort(state: Mail):
    return {"kind": "urgent"}


async def draft(state: Mail) -> Command[Literal["send"]]:
    interrupt({"question": "Send it?", "draft": state["draft"]})
    return Command(goto="send", update={"draft": "yes"})


async def send(state: Mail):
    smtp.send_message(state["draft"])
    return {"sent": "yes"}


smtp = None
_mail = StateGraph(Mail).add_node(sort).add_node(draft).add_node(send).add_edge(START, "sort")
_mail.add_conditional_edges("sort", lambda state: state["kind"], {"urgent": "draft", "spam": END})
mail = _mail.add_edge("send", END).compile()


# --- a model with tools ---


model = ChatOpenAI(model="m", api_key="k").bind_tools(TOOLS)


async def ask(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}


_agent = StateGraph(MessagesState).add_node(ask).add_node("tools", ToolNode(TOOLS)).add_edge(START, "ask")
_agent.add_conditional_edges("ask", tools_condition).add_edge("tools", "ask")
loose, watched = _agent.compile(), _agent.compile(interrupt_before=["tools"])
later_watched = _agent.compile(interrupt_after=["ask"])
ready = create_agent(ChatOpenAI(model="m", api_key="k"), [refund], interrupt_before=["tools"])


# --- odd ones ---


class Odd(TypedDict, total=False):
    messages: Annotated[list, operator.add]
    any: Annotated[str, AnyValue]
    loose: Annotated[str, UntrackedValue(str, guard=False)]
    topic: Annotated[list, Topic]
    text: Annotated[str, operator.add]


def rescue(state: Odd):
    return {}


async def nested(state: Odd):
    return {"messages": [await bound.ainvoke(""), await outer.ainvoke({})]}


bound = ChatOpenAI(model="m", api_key="k").bind_tools([search])
inner = StateGraph(Odd).add_node("tools", ToolNode(TOOLS)).add_edge(START, "tools").compile(interrupt_before=["tools"])
outer = StateGraph(Odd).add_node("inner", inner).add_edge(START, "inner").compile()
_odd = StateGraph(Odd).add_node("inner", inner).add_node("more", ToolNode([refund]), error_handler=rescue)
_odd.add_node("made", make_line().with_config(tags=["x"]) | (lambda found: found)).add_node("late", rescue, defer=True)
_odd.add_node(nested).add_edge(START, "inner").add_conditional_edges("inner", lambda state: rescue(state)["a"])
odd = _odd.add_edge("more", "late").compile(interrupt_after=["more"])


@entrypoint()
def functional(text: str):
    return text


def broken():
    raise ValueError("no graph today")


def wants(it):
    return it


async def later():
    return desk


def number():
    return 5


empty = StateGraph(Mail)
huge = StateGraph(Mail)
for _number in range(1_001):
    huge.add_node(f"n{_number}", number)
dense = StateGraph(Mail)
for _number in range(150):
    dense.add_node(f"n{_number}", number)
for _number in range(150):
    dense.add_conditional_edges(f"n{_number}", wants, [f"n{other}" for other in range(150)])
strange = StateGraph(TypedDict("Strange", {"a\n\x1b[31m": str})).add_node("n", number).add_edge(START, "n")
