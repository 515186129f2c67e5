"""An account of one run: what must be true of it, kept by other means than the machine's.

It hears each event when it has become durable, and each call when the agent is handed its job, and holds both against
the rules. It is slow and plain on purpose, and shares no code with the machine and the bank but the rules themselves.

An `Account` is what is `Known` of a run, with a `StepAccount` for each step; what doesn't hold is `Broken`. There is
a function for each event: of the plan in `progress`, of `attempts` and what they commit (`commits`) and cost
(`payment`), of `verdicts`, of effects in `performing`, of people in `questions`; and `calls` looks at each job. The
rest counts by plain means of its own: `branches`, `budgets`, `effects`, `judging`, `naive` and `views`.
"""

from .account import Account
from .broken import Broken
from .known import Known, StepAccount

__all__ = ["Account", "Broken", "Known", "StepAccount"]
