"""An MCP server, run as a program: over standard input and output, or over HTTP at a port.

What it is asked and what becomes of it goes to the file that LOG names, a line each.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("crm", log_level="ERROR")


def log(line):
    with Path(os.environ["LOG"]).open("a") as file:
        file.write(line + "\n")


@server.tool()
def lookup(customer: str) -> dict[str, str]:
    """Look up a customer."""
    log(f"lookup {customer}")
    return {"id": customer, "plan": "pro"}


@server.tool()
def pid() -> int:
    return os.getpid()


@server.tool()
def environment(name: str) -> str:
    return os.environ.get(name, "nothing")


@server.tool()
def text(characters: int) -> str:
    return "x" * characters


@server.tool(structured_output=False)
def plain(said: str) -> str:
    return said


@server.tool()
def fail() -> str:
    raise ToolError(f"no such customer; asked with {os.environ.get('CRM_TOKEN')}")


@server.tool()
def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)


@server.tool()
async def slow() -> str:
    log("slow began")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        log("slow cancelled")
        raise
    return "done"


if __name__ == "__main__":
    log(f"pid {os.getpid()}")
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
