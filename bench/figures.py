"""What a workload is told (Settings) and what it hands back (Result): figures with their references and goals."""

import gc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """repetitions: of each measurement; medians are reported. scale: of every size; goals hold at 1 alone. quick: leave
    out what takes minutes. folder: where files are made; it should be on the disk that is to be measured.
    """

    repetitions: int
    scale: float
    quick: bool
    folder: Path

    def size(self, full: int, least: int = 2) -> int:
        """How many steps, runs or rows to measure with, where `full` is the size of the goal."""
        return max(least, round(full * self.scale))


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bound on a figure's ratio or on its value."""

    of: Literal["ratio", "value"]
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        bound = f"<= {self.at_most:,g}" if self.at_most is not None else f">= {self.at_least:,g}"
        return f"ratio {bound}" if self.of == "ratio" else bound


class Figure(msgspec.Struct, kw_only=True):
    """One number. ratio: to the reference, the median over repetitions. ok: whether the goal is met; None without a
    goal, and at any other than full scale.
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    reference_name: str = ""
    ratio: float | None = None
    goal: Goal | None = None
    ok: bool | None = None

    def judge(self) -> None:
        """Set `ok`."""
        if self.goal is not None:
            number = self.ratio if self.goal.of == "ratio" else self.value
            assert number is not None
            bound = self.goal.at_most if self.goal.at_most is not None else self.goal.at_least
            self.ok = number <= bound if self.goal.at_most is not None else number >= bound


class Result(msgspec.Struct):
    """What one workload found. details: what helps to understand the figures. note: what could not be measured."""

    workload: str
    figures: list[Figure]
    details: dict[str, object] = {}
    note: str = ""


class NotMeasured(Exception):
    """This can't be measured here; the message says why."""


class Pairs(msgspec.Struct):
    """Measurements of some work and of its reference, taken in turn."""

    works: list[float]
    references: list[float]

    @property
    def work(self) -> float:
        return median(self.works)

    @property
    def reference(self) -> float:
        return median(self.references)

    @property
    def ratios(self) -> list[float]:
        return [work / reference for work, reference in zip(self.works, self.references, strict=True)]

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    def figure(self, name: str, unit: str, reference_name: str, goal: Goal) -> Figure:
        """The medians, with the goal they have to meet."""
        return Figure(
            name=name,
            value=self.work,
            unit=unit,
            reference=self.reference,
            reference_name=reference_name,
            ratio=self.ratio,
            goal=goal,
        )

    def details(self) -> dict[str, object]:
        """The single measurements, rounded."""
        return {
            "works": [round(value, 1) for value in self.works],
            "references": [round(value, 1) for value in self.references],
            "ratios": [round(value, 2) for value in self.ratios],
        }


def interleave(repetitions: int, work: Callable[[], float], reference: Callable[[], float]) -> Pairs:
    """Measure work and reference in turn, after one round that doesn't count."""
    pairs = Pairs([], [])
    for repetition in range(repetitions + 1):
        gc.collect()
        limit = reference()
        gc.collect()
        took = work()
        if repetition:
            pairs.references.append(limit)
            pairs.works.append(took)
    return pairs
