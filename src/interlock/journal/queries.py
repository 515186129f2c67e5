"""The queries of queries.sql by name."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+).*\n", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """SQL by name."""
    parts = _NAME.split(script("queries.sql"))
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def script(name: str) -> str:
    """A file of SQL beside this one."""
    return files(__package__).joinpath(name).read_text("utf-8")
