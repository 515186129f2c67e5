"""What people are told of without having looked: a step that waits for them, one that was given up, a breaker."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import msgspec

from .breaker import Moved, State

Kind = Literal["question", "dead", "breaker"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A notice is kept until it is delivered, and is to be read on a telephone.
TEXT_CHARS_MAX = 500


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that people should know of, once it has become durable.

    agent: whose step, or breaker, it is. attempt: of the step, when it asked; or how many it had, when it was given up.
    text: the question that an agent, or the run, asks. reason: why it came to this; it may hold what agents have said.
    verbs, choices: what a person may do about it, and answer. due_us, then: until when somebody may (0: for ever), or a
    breaker stays open (0: until it is reset); and what comes after that.
    """

    kind: Kind
    at_us: int
    agent: str
    run_id: str = ""
    step: str = ""
    attempt: int = 0
    text: str = ""
    reason: str = ""
    verbs: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    due_us: int = 0
    then: str = ""


# A notice on its way: the name of the recipient that is to get it, and the notice.
Posted = tuple[str, Notice]


def opened(agent: str, state: State, moves: Sequence[Moved]) -> Iterator[Notice]:
    """The notices of a breaker that was in this state and moved so: one whenever it opens that was closed."""
    for moved in moves:
        if moved.to == "open" and state == "closed":
            yield Notice("breaker", moved.at_us, agent, reason=moved.reason[:TEXT_CHARS_MAX])
        state = moved.to


encode: Any = msgspec.json.Encoder().encode
decode: Any = msgspec.json.Decoder(Notice).decode
