"""How large a proposed plan may be."""

import msgspec


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on a plan that an agent proposes; those of the team hold beside them.

    agents: those that may be given steps; None: all. bytes_max: of its JSON, before it is read. steps_max: with every
    sample. depth_max: steps one after another. width_max: steps that are as deep as each other. agent_calls_max: steps
    of one agent. condition_bytes_max: of the value in a `when`. flaws_max, flaw_chars_max: of what is told to be wrong.
    """

    agents: frozenset[str] | None = None
    bytes_max: int = 2 << 20
    steps_max: int = 1_000
    depth_max: int = 100
    width_max: int = 500
    agent_calls_max: int = 500
    samples_max: int = 10
    needs_max: int = 1_000
    patterns_max: int = 50
    path_chars_max: int = 200
    instructions_chars_max: int = 4_000
    condition_bytes_max: int = 500
    flaws_max: int = 20
    flaw_chars_max: int = 400


DEFAULT_BOUNDS = Bounds()
