"""The JSON Schema of the team file, for editors."""

from typing import Any

from .tables import TEAM


def team_file_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of the team file, made from the tables that the loader uses.

    It describes a file with `agents`; the bare scope file, which maps agents to their three scope keys, loads as well.
    """
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Interlock team file",
        "description": "Agents, what each may do, see and write, and how their work is planned.",
    }
    return {**head, **TEAM.schema()}
