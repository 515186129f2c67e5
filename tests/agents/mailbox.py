"""A mail server on this machine, as little of one as it takes to receive; it keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """mails: what was sent, as (recipients, text). refuses: it takes no mail."""

    port: int = 0
    refuses: bool = False
    mails: list[tuple[list[str], str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to: list[str] = []
        writer.write(b"220 mailbox\r\n")
        while line := (await reader.readline()).decode("latin-1").strip():
            command = line.upper()
            if command.startswith("RCPT"):
                to.append(line.partition(":")[2].strip("<> "))
            if command.startswith("DATA"):
                writer.write(b"354 go on\r\n")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode("latin-1")
                self.mails.append((to, text))
            writer.write(b"550 nobody here\r\n" if self.refuses and command.startswith("RCPT") else b"250 ok\r\n")
            if command.startswith("QUIT"):
                break
        writer.close()


@asynccontextmanager
async def mailbox(*, refuses: bool = False) -> AsyncIterator[Mailbox]:
    """A mailbox, while it is entered."""
    box = Mailbox(refuses=refuses)
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
