"""What is installed, what a team lacks to run, and whether what is behind its agents answers.

Extra (installed) is an optional part; Diagnosis is what was found about one agent or MCP server, Examination all that
was about a team. `examine` looks at everything at once; `models`, `factories` and `servers` know what to look at. None
of it costs a token.
"""

from .diagnosis import Diagnosis, Examination
from .examination import Probed, Watch, examine
from .installed import Extra, extras

__all__ = ["Diagnosis", "Examination", "Extra", "Probed", "Watch", "examine", "extras"]
