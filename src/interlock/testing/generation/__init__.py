"""Replies and requests made up from what a team declares: scopes, schemas, reducers and conditions.

A `ReplyMaker` makes good replies for one agent in one step, a `RequestMaker` requests for a team; `maker` makes values
that fit a JSON Schema, and `matching` texts that fit a regular expression. All draw from a Random and nothing else.
"""

from .from_schema import maker
from .patterns import matching
from .replies import ReplyMaker, RequestMaker
from .texts import Make

__all__ = ["Make", "ReplyMaker", "RequestMaker", "maker", "matching"]
