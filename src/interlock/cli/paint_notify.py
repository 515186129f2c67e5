"""What came of the test messages, drawn."""

from collections.abc import Sequence

from rich.text import Text

from interlock.doctor import Diagnosis

from .paint import MARKS, console
from .paint_doctor import show_diagnoses
from .text import plural


def show_trial(found: Sequence[Diagnosis]) -> None:
    """A row for each recipient."""
    out = console()
    if not found:
        out.print(Text("nobody is told: the team has no notify", "dim"))
        return
    show_diagnoses(out, found)
    failed = sum(not one.is_fine for one in found)
    mark, style = MARKS["failed" if failed else "succeeded"]
    said = f"{failed} of {plural(len(found), 'recipient')} not reached" if failed else "everybody was reached"
    out.print(Text(f"{mark} {said}", style))
