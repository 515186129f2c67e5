"""The JSON Schema of a proposal, to be handed to the model that is to write one."""

from typing import Any, get_args

from interlock.core.bounds import DEFAULT_BOUNDS, Bounds
from interlock.core.step import WIDTH_MAX, Operator
from interlock.team import Team

ID_PATTERN = "^[A-Za-z0-9_-]{1,80}$"
_DESCRIPTIONS = {
    "id": "A name of its own: letters, digits, _ and -.",
    "agent": "Who does it.",
    "action": "What the agent does; one of its actions.",
    "needs": "The ids of the steps that must be done before it. What they write, it can read.",
    "reads": "What it reads, as dotted paths within the agent's scope; without it, all that the agent may read.",
    "writes": "What it writes, within the agent's scope. Steps that don't need each other must not write the same; "
    "{step} stands for the id of the step, {index} for the number of a copy.",
    "instructions": "What the agent is told.",
    "when": "The step is skipped unless this holds.",
    "for_each": "The path of a list: the step is done for each of its items.",
    "samples": "So many copies of the step, independent of each other.",
    "width": "Of a for_each: so many of its copies at a time.",
    "batch": "Of a for_each: so many items for each copy, as a list.",
}


def proposal_schema(team: Team, bounds: Bounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """The JSON Schema of plans for this team, with its agents and actions; what it can't say, `validated` checks."""
    agents = [name for name in team.agents if bounds.agents is None or name in bounds.agents]
    allowed = {name: list(team.roles[name].scope.allowed_actions) for name in agents}
    actions = list(dict.fromkeys(action for mine in allowed.values() for action in mine))
    paths = {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": bounds.path_chars_max},
        "maxItems": bounds.patterns_max,
    }
    shapes: dict[str, dict[str, Any]] = {
        "id": {"type": "string", "pattern": ID_PATTERN},
        "agent": {"enum": agents},
        "action": {"enum": actions},
        "needs": {"type": "array", "items": {"type": "string", "pattern": ID_PATTERN}, "maxItems": bounds.needs_max},
        "reads": paths,
        "writes": paths,
        "instructions": {"type": "string", "maxLength": bounds.instructions_chars_max},
        "when": _condition(bounds),
        "for_each": {"type": "string", "minLength": 1, "maxLength": bounds.path_chars_max},
        "samples": {"type": "integer", "minimum": 1, "maximum": bounds.samples_max},
        "width": {"type": "integer", "minimum": 1, "maximum": WIDTH_MAX},
        "batch": {"type": "integer", "minimum": 1, "maximum": WIDTH_MAX},
    }
    step = {
        "type": "object",
        "properties": {name: {**shape, "description": _DESCRIPTIONS[name]} for name, shape in shapes.items()},
        "required": ["id", "agent", "action"],
        "additionalProperties": False,
        "oneOf": [{"properties": {"agent": {"const": name}, "action": {"enum": allowed[name]}}} for name in agents],
    }
    steps = {"type": "array", "items": step, "minItems": 1, "maxItems": bounds.steps_max}
    return {"type": "object", "properties": {"steps": steps}, "required": ["steps"], "additionalProperties": False}


def _condition(bounds: Bounds) -> dict[str, Any]:
    properties = {
        "path": {"type": "string", "minLength": 1, "maxLength": bounds.path_chars_max},
        "op": {"enum": list(get_args(Operator))},
        "value": {},
    }
    return {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
