"""Triage: a LangGraph graph with one node."""

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from models import BASE_URL, MODEL

model = ChatOpenAI(model=MODEL, base_url=BASE_URL, max_retries=0)


async def classify(state: MessagesState) -> dict:
    return {"messages": [await model.ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("classify", classify)
builder.add_edge(START, "classify")
builder.add_edge("classify", END)
graph = builder.compile()
