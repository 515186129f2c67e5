"""Who is told when a run waits for a person: recipients as a user declares them, in Python or in a team file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.core.notice import KINDS, Kind
from interlock.core.values import described
from interlock.errors import InputError, TeamError

from .secret_names import names_a_secret
from .shapes import Brief, Choice, Field, Flag, Many, Place, Record, Shape, Text, dotted

RECIPIENTS_MAX = 20
# Dead letters may come by the thousand, and wait patiently: who wants to be told of them says so.
TOLD_OF: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "dead")

_PLACEHOLDER = re.compile(r"\$\{([^\W\d]\w*)\}")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_PASSWORD = re.compile(r"://[^/?#\s]*?:(?P<password>[^/?#\s]*)@")
_PARAMETER = re.compile(r"[?&](?P<name>[^=&]+)=(?P<value>[^&]*)")


def _address(text: str) -> None:
    """Raises InputError, which doesn't show it, for what is no address, or holds a secret itself."""
    without = _PLACEHOLDER.sub("x", text)
    if "${" in without:
        raise InputError("it has a ${ without a name", fix="write ${NAME}, with the name of a secret")
    if without != "x" and not _ADDRESS.fullmatch(without):
        raise InputError("it is no address such as json://host/path, or ${SLACK_URL}", fix="see docs/notifications.md")
    password = _PASSWORD.search(text)
    held = [password["password"]] if password else []
    held += [found["value"] for found in _PARAMETER.finditer(text) if names_a_secret(found["name"])]
    if any(value and "${" not in value for value in held):
        raise InputError("it holds a secret itself", fix="write ${NAME}, and set NAME in the environment")


def _problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    if "url" in value and "use" in value:
        yield TeamError(f"{dotted(place)} has url and use", fix="keep one of them", place=(*place, "use"))
    if "url" not in value and "use" not in value:
        yield TeamError(f"{dotted(place)} has neither url nor use", fix="name an address or a function", place=place)


def shape(use: Shape, name: Shape) -> Shape:
    """What `notify` must look like in a team file. use, name: the shapes of a function and of a name."""
    address = Text(
        "an address that apprise knows, such as json://host/path, or ${SLACK_URL}", _address, {"minLength": 1}
    )
    kinds = Many(Choice(KINDS), least=1)
    fields = {
        "url": Field(address, "An address that apprise knows; ${NAME} stands for the secret with this name."),
        "use": Field(use, "A function that is given the message instead, as module:function."),
        "on": Field(kinds, f"What it is told of, out of {', '.join(KINDS)} ({', '.join(TOLD_OF)})."),
        "name": Field(name, "What it is called in logs, where its scheme or function doesn't tell enough."),
        "reasons": Field(Flag(), "It is told why as well, which may hold what agents have said (false)."),
    }
    return Many(Brief("url", Record("a recipient", fields, check=_problems)))


class Declared(msgspec.Struct, frozen=True):
    """A recipient. url or use: where its messages go. on: the kinds of notices that it gets."""

    name: str
    url: str = ""
    use: Any = None
    on: tuple[Kind, ...] = TOLD_OF
    reasons: bool = False


def checkable(given: Any) -> Any:
    """What was given, as it would stand in a team file, where functions are named."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        return given
    return [_named(one) for one in given]


def _named(one: Any) -> Any:
    if callable(one):
        return {"use": "module:function"}
    if isinstance(one, Mapping) and callable(one.get("use")):
        return {**one, "use": "module:function"}
    return one


def recipients(given: Sequence[Any] | None) -> tuple[Declared, ...]:
    """The recipients that are declared, each under a name of its own. Raises TeamError."""
    if len(given or ()) > RECIPIENTS_MAX:
        message = f"notify has {len(given or ())} entries; at most {RECIPIENTS_MAX} are possible"
        raise TeamError(message, place=("notify",))
    found: dict[str, Declared] = {}
    for number, one in enumerate(given or ()):
        keys = one if isinstance(one, Mapping) else {"use": one} if callable(one) else {"url": one}
        name = keys.get("name") or _free(_name(keys), found)
        if name in found:
            message = f"two recipients of notices are called {name}"
            raise TeamError(message, fix="rename one", place=("notify", str(number)))
        on = tuple(dict.fromkeys(keys.get("on", TOLD_OF)))
        found[name] = Declared(name, keys.get("url", ""), keys.get("use"), on, keys.get("reasons", False))
    return tuple(found.values())


def _name(keys: Mapping[str, Any]) -> str:
    """What a recipient is called that has no name: an address is told by its scheme alone, the rest may be secret."""
    use = keys.get("use")
    if use is not None:
        return use if isinstance(use, str) else described(use)
    placeholder = _PLACEHOLDER.fullmatch(keys["url"])
    return placeholder[1] if placeholder else str(keys["url"]).partition("://")[0].lower()


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
