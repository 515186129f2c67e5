"""Drafting: an agent of the OpenAI Agents SDK."""

from agents import Agent, OpenAIChatCompletionsModel
from models import BASE_URL, MODEL
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url=BASE_URL, max_retries=0)
agent = Agent(
    name="drafting",
    instructions="You write replies to customers.",
    model=OpenAIChatCompletionsModel(model=MODEL, openai_client=client),
)
