"""What was found in a system of another framework, drawn."""

from pathlib import Path

from interlock.survey import Survey

from .paint import console, next_commands
from .paint_lists import findings_table, verdict
from .text import plain, plural, shown_path


def show_survey(found: Survey, name: str, target: Path) -> None:
    """The findings as a table, and where the team file is."""
    out = console()
    if found.findings:
        out.print(findings_table(found.findings, [plain(one.where) for one in found.findings], "where", out))
    out.print(verdict(found, name, ("no errors", "it has errors")))
    agents, steps = plural(len(found.system.workers), "agent"), plural(len(found.system.steps), "step")
    out.print(f"{shown_path(str(target))}: {agents}, {steps}")
    out.print(next_commands([f"interlock audit {shown_path(str(target))}"]))
