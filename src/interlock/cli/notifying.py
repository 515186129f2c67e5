"""`notify test`: a message to each of those who are told what waits for people."""

from interlock.doctor import tried
from interlock.engine import tasks
from interlock.team import Team

from . import exits
from .documents import print_json


def test(name: str, *, json: bool) -> int:
    """Send it, and tell what came of it."""
    team = Team.load(name)
    found = tasks.run_main(tried(team))
    if json:
        print_json({"recipients": found})
    else:
        from .paint_notify import show_trial

        show_trial(found)
    return exits.DONE if all(one.is_fine for one in found) else exits.FAILED
