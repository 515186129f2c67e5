"""Worlds in which a team works in virtual time and everything goes wrong that a seed decides.

A `World` plays a `Scene` under one seed: processes, each with a loop of its own on one `Timeline`, drive runs with the
real engine and die. An `Account` of each run is kept by other means than the machine's, the `Traffic` is what must hold
across runs, and what is `Broken` ends the world. What a world came to is an `Episode`; a campaign plays many and makes
a broken one small; the crash explorer dies at every write in turn; a transcript tells it all line by line.
"""

from .account import Account, Broken
from .campaign import Recipe, Report, campaign, play, shrink
from .crashes import CrashReport, explore_crashes
from .episode import Episode
from .loop import Timeline, VirtualLoop
from .transcript import transcript
from .world import Invariant, Scene, World

__all__ = [
    "Account",
    "Broken",
    "CrashReport",
    "Episode",
    "Invariant",
    "Recipe",
    "Report",
    "Scene",
    "Timeline",
    "VirtualLoop",
    "World",
    "campaign",
    "explore_crashes",
    "play",
    "shrink",
    "transcript",
]
