"""Who tells people what waits for them: services that apprise knows (extra notify), and functions of the user.

A delivery works in a thread that ends with the process: nothing can stop it, and nothing waits for it for ever.
"""

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from interlock.errors import NotDelivered, TeamError, describe
from interlock.ports import Message
from interlock.team import Team
from interlock.team.notify import Declared
from interlock.team.registry import resolve

from . import extras
from .secret import excerpt, secret
from .threads import in_thread

SAID_CHARS_MAX = 300
_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")


class Service:
    """A service that apprise knows, by its address; secrets are put into it anew for each message."""

    def __init__(self, declared: Declared) -> None:
        self.name, self.reasons, self._url = declared.name, declared.reasons, declared.url

    def check(self) -> None:
        """See ports.Recipient."""
        extras.check("apprise", "notify")
        self._address()

    async def deliver(self, message: Message) -> None:
        """See ports.Recipient."""
        await asyncio.wrap_future(in_thread(lambda: self._send(message)))

    async def probe(self) -> str:
        """The service, if apprise can make something of the address; nothing is sent."""
        self.check()
        name: str = await asyncio.wrap_future(in_thread(lambda: self._service()[0].service_name))
        return str(name)

    def _address(self) -> str:
        """The address with its secrets: one that is the whole of it stands as it is, else as one part of an address."""
        whole = _PLACEHOLDER.fullmatch(self._url)
        if whole:
            return secret(whole[1])
        return _PLACEHOLDER.sub(lambda match: quote(secret(match[1]), safe=""), self._url)

    def _service(self) -> Any:
        apprise = extras.load("apprise", "notify")
        # Its own timeout would have threads do the work that the interpreter waits for at its end.
        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Interlock", service_timeout=0))
        if not service.add(self._address()):
            fix = "see what its service needs: https://appriseit.com/services"
            raise NotDelivered("apprise can make nothing of its address", fix=fix)
        return service

    def _send(self, message: Message) -> None:
        service = self._service()
        text_as_it_is = extras.load("apprise", "notify").NotifyFormat.TEXT
        done = service.notify(title=message.title, body=message.text, body_format=text_as_it_is)
        if not done:
            said = next((str(entry.message) for entry in done.logs()), "") or "it says no more than that it failed"
            raise NotDelivered(excerpt(said, SAID_CHARS_MAX))


class Told:
    """A function of the user, which is called with each message: an async one in the event loop, others in a thread."""

    def __init__(self, declared: Declared, function: Callable[[Message], Any]) -> None:
        self.name, self.reasons, self._function = declared.name, declared.reasons, function

    def check(self) -> None:
        """See ports.Recipient."""

    async def deliver(self, message: Message) -> None:
        """See ports.Recipient."""
        if inspect.iscoroutinefunction(self._function):
            await self._function(message)
        else:
            await asyncio.wrap_future(in_thread(lambda: self._call(message)))

    async def probe(self) -> str:
        """Its name: it is not called."""
        return self.name

    def _call(self, message: Message) -> None:
        try:
            self._function(message)
        except BaseException as error:
            # A future takes no StopIteration, and the loop no SystemExit.
            raise NotDelivered(describe(error)) from error


def recipient(team: Team, declared: Declared) -> Service | Told:
    """Who is meant. Raises TeamError where the function isn't found."""
    return Service(declared) if declared.url else Told(declared, _function(team, declared))


def recipients(team: Team) -> list[Service | Told]:
    """Who is told, for a team. Raises TeamError, naming every one whose function isn't found."""
    made: list[Service | Told] = []
    problems: list[TeamError] = []
    for number, declared in enumerate(team.notify):
        try:
            made.append(recipient(team, declared))
        except TeamError as error:
            message = f"notify, {declared.name}: {error.sentence}"
            problems.append(team.locate(TeamError(message, fix=error.fix, place=("notify", str(number)))))
    if problems:
        raise TeamError.of(problems)
    return made


def _function(team: Team, declared: Declared) -> Callable[[Message], Any]:
    function = resolve(declared.use, team.folder) if isinstance(declared.use, str) else declared.use
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        message = "its function can't be called with a message"
        raise TeamError(message, fix="write def tell(message)") from error
    return function
