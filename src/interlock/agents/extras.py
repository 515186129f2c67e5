"""Optional parts: whether one is installed, and how it is imported when it is needed."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from interlock.errors import MissingExtra


def check(module: str, extra: str) -> None:
    """Raise MissingExtra unless a module is installed; nothing is imported: a framework takes seconds."""
    if not _is_installed(module):
        raise _missing(module, extra)


def load(module: str, extra: str) -> ModuleType:
    """Import a module of an optional part. Raises MissingExtra where it isn't installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _missing(module, extra) from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False


def _missing(module: str, extra: str) -> MissingExtra:
    return MissingExtra(f"{module.partition('.')[0]} is not installed", fix=f"pip install 'interlock[{extra}]'")
