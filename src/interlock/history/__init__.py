"""What happened in a run, told from its events alone: pure, and without the team's code.

A `Record` is what a journal keeps of one run. Its `Story` is the run as it is now: its steps, every `Attempt`, its
context. A `Replay` folds the events again, one `Moment` after another, and names each `Mismatch` between what was
journaled and what the machine computes; `Handed` is one call as its agent saw it. A `Lineage` leads from a value back
to the request, one `Origin` at a time. A `Difference` is where two runs part. A `Letter` is a step that was given up.
`sentence` says an event in words. `Figures` are what many runs come to, agent by agent; a `Spread` of them, their
percentiles. The `Standing` of a gate is what it keeps of all runs on a journal.
"""

from .attempts import Attempt, Decided, Ending, Held, WaitEnding, attempts, held_until, holds, outcome_of
from .children import ChildStory, children
from .difference import Contrast, Difference, Divergence, compare
from .drawn import Drawn, Shortage, shortage
from .figures import AgentFigures, Figures
from .letter import Letter, letter, to_redrive_elsewhere
from .lineage import Lineage, Origin, lineage
from .record import Record
from .replay import Handed, Mismatch, Moment, Move, Replay, attempt_asked_about, handed, replay, to_be_handed
from .settling import settled_line
from .spread import Spread
from .standing import BudgetStanding, RateStanding, Standing, standing
from .story import EffectStory, StepStory, Story, story
from .telling import fork_of, sentence, some, visible, why_held
from .times import timestamp

__all__ = [
    "AgentFigures",
    "Attempt",
    "BudgetStanding",
    "ChildStory",
    "Contrast",
    "Decided",
    "Difference",
    "Divergence",
    "Drawn",
    "EffectStory",
    "Ending",
    "Figures",
    "Handed",
    "Held",
    "Letter",
    "Lineage",
    "Mismatch",
    "Moment",
    "Move",
    "Origin",
    "RateStanding",
    "Record",
    "Replay",
    "Shortage",
    "Spread",
    "Standing",
    "StepStory",
    "Story",
    "WaitEnding",
    "attempt_asked_about",
    "attempts",
    "children",
    "compare",
    "fork_of",
    "handed",
    "held_until",
    "holds",
    "letter",
    "lineage",
    "outcome_of",
    "replay",
    "sentence",
    "settled_line",
    "shortage",
    "some",
    "standing",
    "story",
    "timestamp",
    "to_be_handed",
    "to_redrive_elsewhere",
    "visible",
    "why_held",
]
