"""Scenes that the tests of the simulator play."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from interlock.testing.injection.faults import Fault, Faults
from interlock.testing.simulation.campaign import Recipe, Scenes
from interlock.testing.simulation.episode import Episode
from interlock.testing.simulation.world import World

TEAMS = Path(__file__).parent / "teams"
ALL_FEATURES = TEAMS / "all_features.yaml"
DESK = Path(__file__).parents[3] / "examples" / "support_desk"
PIPELINE = Path(__file__).parents[3] / "examples" / "document_pipeline"


def scenes(team=ALL_FEATURES, **given) -> Scenes:
    """Scenes of a team; without faults unless some are given."""
    faults = given.pop("faults", ())
    document = (faults if isinstance(faults, Faults) else Faults(faults)).document
    given["agents"] = given.pop("of", "generated")
    return Recipe(team=str(team), faults=document, **given).scenes()


def every_fault() -> Faults:
    return Faults.everything()


def fault(kind: str, **given) -> Fault:
    return Fault(fault=kind, **given)


def scene(team=ALL_FEATURES, seed=0, **given):
    changed = {name: given.pop(name) for name in ("agents", "invariants", "rows", "calm") if name in given}
    return msgspec.structs.replace(scenes(team, **given).of(seed), **changed)


def episodes(made: Scenes, seeds: Iterable[int]) -> Iterator[Episode]:
    """What happens in the worlds of these seeds, in none of which anything may break."""
    for seed in seeds:
        episode = World(made.of(seed), seed).play()
        assert episode.broken is None, (seed, episode.broken)
        yield episode
