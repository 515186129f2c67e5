"""What is installed, what a team lacks to run, and whether what is behind its agents answers.

Extra (installed) is an optional part; Diagnosis is what was found about one agent or MCP server, Examination all that
was about a team. `examine` looks at everything at once; `models`, `factories`, `servers` and `notices` know what to
look at. None of it costs a token. `tried` sends a test to whoever is told what waits for people.
"""

from .diagnosis import Diagnosis, Examination
from .examination import Probed, Watch, examine
from .installed import Extra, extras
from .notices import tried

__all__ = ["Diagnosis", "Examination", "Extra", "Probed", "Watch", "examine", "extras", "tried"]
