"""The contract of all adapters, over the LLM agent."""

from interlock import ports
from tests.agents.bench import Lane
from tests.agents.contract import AdapterContract

from .desk import adapter_of


class Streamed:
    """The adapter, with somebody who listens to what it says."""

    def __init__(self, inner):
        self.inner, self.slots = inner, inner.slots

    async def call(self, job, began):
        ports.listen(lambda text: None)
        return await self.inner.call(job, began)

    async def close(self):
        await self.inner.close()


def make(server, model, *, stream=False):
    made = adapter_of(server, model)
    return Streamed(made) if stream else made


class TestOfLlm(AdapterContract):
    lane = Lane("llm", make, streams=True)
