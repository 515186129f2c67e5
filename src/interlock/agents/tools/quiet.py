"""What the MCP client logs, kept off the terminal: with tracebacks it tells what a server said, and we say it shorter.

It is heard by whoever gives the logger `mcp` a level.
"""

import logging
from pathlib import Path

import mcp.client.session

_FOLDER = str(Path(mcp.client.session.__file__).parents[1])
_client = logging.getLogger("mcp")


def _is_wanted(record: logging.LogRecord) -> bool:
    """Part of the client logs under the name `client`, which others may use as well."""
    return not record.pathname.startswith(_FOLDER) or _client.isEnabledFor(record.levelno)


def keep_quiet() -> None:
    """Keep what it logs from all who didn't ask for it."""
    if _client.level == logging.NOTSET:
        _client.setLevel(logging.CRITICAL + 1)
    mcp.client.session.logger.addFilter(_is_wanted)
