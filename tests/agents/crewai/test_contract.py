"""Crews keep the contract of all adapters. They work in threads, so it is the death of a process that stops them."""

import pytest

from interlock.errors import AgentError
from tests.agents import bench as bench_module
from tests.agents import contract
from tests.agents.bench import Lane
from tests.agents.contract import AdapterContract

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]
IMPORT_SECONDS_MAX = 60.0


@pytest.fixture(scope="module", autouse=True)
def warm(crews):
    """The contract as it is for workers that outlive a test."""

    def in_loop(bench, test):
        async def main():
            try:
                await crews.all_warm()
                await test
            finally:
                bench.server.hang_up()

        crews.run(main())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_module, "_in_loop", in_loop)
        for module in (bench_module, contract):
            patch.setattr(module, "END_SECONDS_MAX", IMPORT_SECONDS_MAX)
        # CrewAI drops what a model says in refusing, and an empty answer is left.
        patch.setitem(contract.ERRORS, "refusal", (AgentError, True))
        patch.setattr(TestOfCrewAI, "lane", Lane("crewai", crews.clerk, stops="process", streams=True), raising=False)
        yield


class TestOfCrewAI(AdapterContract):
    # What a text holds beside the fields that were asked for (`extra`) is left to the assessment, which refuses it.
    @pytest.mark.parametrize("model", ["prose", "mistyped"])
    def test_what_the_model_makes_up_writes_nothing_else(self, model):
        super().test_what_the_model_makes_up_writes_nothing_else(model)
