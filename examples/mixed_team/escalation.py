"""Escalation: an AutoGen agent. It keeps what it was told, so every job gets a fresh one."""

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from models import BASE_URL, MODEL

ABILITIES = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "family": "unknown",
}


def make_agent() -> AssistantAgent:
    client = OpenAIChatCompletionClient(model=MODEL, base_url=BASE_URL, max_retries=0, model_info=ABILITIES)
    return AssistantAgent("escalation", model_client=client, system_message="You judge the risk of tickets.")
