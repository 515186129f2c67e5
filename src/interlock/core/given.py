"""What people and programs give as arguments, looked at before anything is done with it."""

from collections.abc import Collection, Mapping

from interlock.errors import InputError

SHOWN_CHARS_MAX = 40


def text(name: str, given: object, chars_max: int = 0) -> None:
    """Raise InputError where this is no text, or one that can't be stored. chars_max: 0 for any length."""
    if not isinstance(given, str):
        raise InputError(f"{name} is {_kind(given)}, not a text", fix=f'write a text: {name}="..."')
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} can't be stored: it has a lone surrogate") from error
    if chars_max and len(given) > chars_max:
        raise InputError(f"{name} has {len(given):,} characters, more than {chars_max:,}", fix="shorten it")


def texts(**given: object) -> None:
    """Raise InputError where one of these is no text."""
    for name, value in given.items():
        text(name, value)


def names(name: str, given: object) -> None:
    """Raise InputError where these are not several texts."""
    if isinstance(given, str) or not isinstance(given, Collection):
        raise InputError(f"{name} is {_kind(given)}, not a list of texts", fix=f'write a list: {name}=["..."]')
    for number, one in enumerate(given):
        text(f"{name}[{number}]", one)


def by_name(name: str, given: object, such_as: str) -> None:
    """Raise InputError where these are no values by name, such as those."""
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is {_kind(given)}, not an object", fix=f"such as {name}={such_as}")
    for key in given:
        if not isinstance(key, str):
            raise InputError(f"a name in {name} is {_kind(key)}, not a text", fix=f"such as {name}={such_as}")


def whole(name: str, given: object, least: int = 0) -> None:
    """Raise InputError where this is no whole number, or less than the least."""
    if type(given) is not int or given < least:
        shown = f"{given}" if type(given) is int else _kind(given)
        raise InputError(f"{name} is {shown:.{SHOWN_CHARS_MAX}}, not a whole number from {least} on", fix="write one")


def one_of(name: str, given: object, known: Collection[str]) -> None:
    """Raise InputError where this is none of those."""
    if not isinstance(given, str) or given not in known:
        shown = repr(given[:SHOWN_CHARS_MAX]) if isinstance(given, str) else _kind(given)
        raise InputError(f"{name} is {shown}, which is none", fix=f"it is one of {', '.join(known)}")


def _kind(given: object) -> str:
    return "None" if given is None else f"of type {type(given).__name__:.{SHOWN_CHARS_MAX}}"
