"""The worker's end of a look at a crew: makes one and tells what comes of it, which the adapter leaves to its calls."""

from collections.abc import Callable, Mapping
from typing import Any

from interlock.agents import crew
from interlock.agents.extras import load
from interlock.agents.secret import hidden
from interlock.core.job import Job, Reply
from interlock.errors import AgentRefused, InterlockError, describe


def bound(reference: str, options: Mapping[str, Any], find: Callable[[str], Any]) -> Callable[[Job], Reply]:
    """The function of a job that has a crew do it, once one was made. Raises InterlockError where that fails."""
    function = crew.bound(reference, options, find)
    try:
        made = find(reference)()
    except InterlockError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything
        raise AgentRefused(hidden(f"{reference} fails: {describe(error)}")) from None
    if not isinstance(made, load("crewai", "crewai").Crew):
        raise AgentRefused(f"{reference} returned a {type(made).__name__}, not a crew")
    return function
