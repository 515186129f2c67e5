"""The runs above and below another: whose step it does, and which do its steps."""

import msgspec

from interlock import history
from interlock.core.nested import DEPTH_MAX
from interlock.errors import InterlockError
from interlock.history import Story
from interlock.ports import Journal, RunRow

from .journals import record

# Of all that do steps of a run, however deep, so many are read.
RUNS_READ_MAX = 200


async def line_of(journal: Journal, row: RunRow) -> list[RunRow]:
    """A run, then the one a step of which it does, and so on up to the one that was asked for by itself."""
    line = [row]
    while line[-1].parent and len(line) <= DEPTH_MAX:
        line.append(await journal.run(line[-1].parent))
    return line


async def top_of(journal: Journal, row: RunRow) -> RunRow:
    """The last of its line."""
    return (await line_of(journal, row))[-1]


async def whole(journal: Journal, story: Story) -> Story:
    """The story with those of the runs that do its steps, as far as they can be read."""
    return await _with_runs(journal, story, [RUNS_READ_MAX], 0)


async def _with_runs(journal: Journal, story: Story, left: list[int], depth: int) -> Story:
    runs: dict[str, Story] = {}
    for child in story.children if depth <= DEPTH_MAX else ():
        if left[0] <= 0:
            break
        left[0] -= 1
        try:
            inner = history.story(await record(journal, child.run_id))
        except InterlockError:
            continue  # it isn't there yet, or damaged: what this run was told of it must do
        runs[child.run_id] = await _with_runs(journal, inner, left, depth + 1)
    return msgspec.structs.replace(story, runs=runs) if runs else story
