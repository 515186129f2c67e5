"""What single values of a team file look like: names, paths, actions, and what agents and steps have alike."""

from typing import get_args

from interlock.core import paths
from interlock.core.nested import MAPPINGS_MAX
from interlock.core.policy import Escalation
from interlock.core.schema import WritesSchema
from interlock.core.states import OnDead

from .guarding import Guarding
from .shapes import Choice, Compiled, Many, Named, Number, Switch, Text, matching

ACTION_CHARS_MAX = 200
THRESHOLD_LEAST = 0.01

_IDENTIFIER = r"[^\W\d]\w*"
TEXT = Text(keywords={"minLength": 1})
NAME = matching("a name of 1 to 80 letters, digits, _ and -", r"[A-Za-z0-9_-]{1,80}")
ACTION = Text(
    f"the name of an action, of 1 to {ACTION_CHARS_MAX} characters",
    lambda text: text.strip() == text and 0 < len(text) <= ACTION_CHARS_MAX and text.isprintable(),
    {"minLength": 1, "maxLength": ACTION_CHARS_MAX},
)
USE = matching("module:function", rf"{_IDENTIFIER}(\.{_IDENTIFIER})*:{_IDENTIFIER}(\.{_IDENTIFIER})*")
PATH = Text("a dotted path", paths.canonical, {"minLength": 1})
PATTERN = Text("a path pattern", paths.parse_pattern, {"minLength": 1})
ADDRESS = matching(
    "an address such as https://agents.example.com/triage, without a password", r"https?://[^\s/?#@]+([/?#]\S*)?"
)
FILLED_IN = matching("a text in which ${NAME} stands for a secret", r"([^$]|\$(?!\{)|\$\{[^\W\d]\w*\})*")
ON_DEAD = Choice(get_args(OnDead))
ESCALATE = Switch(Compiled(Escalation.of, "true, or what comes after a deadline: {deadline, then, default}"))
SCHEMA = Compiled(WritesSchema, "a JSON Schema over what is written")
GUARDRAILS = Many(Guarding())
MAPPING = Named(PATH, PATH, most=MAPPINGS_MAX)
THRESHOLD = Number(THRESHOLD_LEAST, 1)
