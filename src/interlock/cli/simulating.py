"""`simulate`: a team in virtual time under many seeds, with faults, checked at every step."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.values import content_hash
from interlock.engine import clock
from interlock.errors import InputError, SimulationError
from interlock.planning import under
from interlock.team import Team
from interlock.testing.injection.faults import Faults
from interlock.testing.simulation.account import Broken
from interlock.testing.simulation.campaign import RUNS, Failure, Recipe, Report, campaign, shrink
from interlock.testing.simulation.crashes import CrashReport, explore_crashes
from interlock.testing.simulation.transcript import transcript
from interlock.testing.simulation.world import World

from . import exits, inputs
from .documents import print_json
from .inputs import STDIN_NAME
from .text import interactive

HASH_CHARS = 12
AGENTS = ("generated", "real")
EVERYTHING, NOTHING = "all", "none"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What `simulate` is asked for. command: what a follow-up repeats. piped: the requests are from standard input."""

    recipe: Recipe
    command: str
    piped: bool
    workers: int
    json: bool

    def again(self, words: str) -> str:
        """The command that a follow-up is. Standard input can't be read again, so a file keeps what came from there."""
        kept = f" --input {_kept(self.recipe.requests)}" if self.piped else ""
        return f"{self.command}{kept} {words}"


def _kept(requests: Sequence[bytes]) -> str:
    """The file in this folder that keeps these requests, one a line; the same ones are kept once."""
    data = b"".join(request + b"\n" for request in requests)
    path = Path(f"simulated-{content_hash(data)[:HASH_CHARS]}.jsonl")
    try:
        path.write_bytes(data)
    except OSError as error:
        exits.say(f"the requests of standard input can't be kept in {path} ({error.strerror}): give them once more")
        return STDIN_NAME
    exits.say(f"the requests of standard input are kept in {path}")
    return str(path)


def wanted(  # noqa: PLR0913 - the options of the command
    team: str,
    *,
    faults: str,
    input_name: str | None,
    mapping: Sequence[str],
    agents: str,
    runs: int,
    invariants: Sequence[str],
    workers: int | None,
    sqlite: bool,
    json: bool,
    plan: str = "",
) -> Wanted:
    """From the options of the command. Raises InputError, FaultsError, TeamError."""
    if agents not in AGENTS:
        raise InputError(f"--agents is {agents!r}", fix=f"use one of: {', '.join(AGENTS)}")
    loaded = under(Team.load(team), plan)
    named = {NOTHING: Faults(), EVERYTHING: Faults.everything()}
    chosen = named[faults] if faults in named else Faults.load(faults, loaded)
    requests: list[bytes] = []
    if input_name is not None:
        requests = [loaded.rules.encode_request(row.request) for row in inputs.read(input_name, mapping).rows]
    sys.path[:0] = [str(Path.cwd())] if invariants else []
    recipe = Recipe(
        team=team,
        agents=agents,
        requests=requests,
        runs=runs,
        faults=chosen.document,
        invariants=tuple(invariants),
        sqlite=sqlite,
        plan=plan,
    )
    piped = input_name == STDIN_NAME
    options = {"faults": faults if faults != EVERYTHING else "", "input": "" if piped else input_name or ""}
    options |= {
        "agents": agents if agents != AGENTS[0] else "",
        "runs": str(runs) if runs != RUNS else "",
        "plan": plan,
    }
    words = [f" --{name} {shlex.quote(value)}" for name, value in options.items() if value]
    words += [f" --map {shlex.quote(given)}" for given in mapping if not piped]
    words += [f" --invariant {shlex.quote(name)}" for name in invariants]
    words += [" --sqlite"] * sqlite
    command = f"interlock simulate {shlex.quote(team)}{''.join(words)}"
    return Wanted(recipe=recipe, command=command, piped=piped, workers=workers or os.cpu_count() or 1, json=json)


def simulate(asked: Wanted, seeds: range) -> int:
    """Play many seeds; returns the exit code."""
    began, report = clock.monotonic(), Report()
    interrupted = _play(asked, seeds, report)
    took = clock.monotonic() - began
    failure = _failure(asked, report)
    if asked.json:
        never = [kind for kind in _kinds(asked) if kind not in report.faults]
        print_json(_document(report, took, failure) | {"never_struck": never})
    else:
        from .paint_simulation import show_failure, show_report

        show_report(report, took, _kinds(asked))
        if failure is not None:
            show_failure(failure, asked.again(f"--seed {failure.seed}"))
    if interrupted:
        command = asked.again(f"--first {seeds.start + report.seeds} --seeds {len(seeds) - report.seeds}")
        exits.say(f"interrupted after {report.seeds:,} of {len(seeds):,} seeds; go on with: {command}")
    return exits.FAILED if report.broken else exits.INTERRUPTED if interrupted else exits.DONE


def _play(asked: Wanted, seeds: range, report: Report) -> bool:
    """Play the seeds into the report; returns whether somebody interrupted that."""
    shown: Any = nullcontext()
    progress: Callable[[Report], None] = lambda _report: None  # noqa: E731 - nobody watches
    if interactive() and not asked.json:
        from .bar import SeedsBar

        shown = SeedsBar(len(seeds))
        progress = shown.moved
    try:
        with shown:
            campaign(asked.recipe, seeds, workers=asked.workers, progress=progress, report=report)
    except KeyboardInterrupt:
        return True
    return False


def one(asked: Wanted, seed: int) -> int:
    """Play one seed and tell all of it; returns the exit code."""
    scene = asked.recipe.scenes().of(seed)
    episode = World(scene, seed).play()
    failure = shrink(scene, seed) if episode.broken is not None else None
    lines = transcript(episode)
    if asked.json:
        report = Report()
        report.add(episode)
        print_json(_document(report, None, failure) | {"seed": seed, "digest": episode.digest, "transcript": lines})
    else:
        from .paint_simulation import show_episode, show_failure

        show_episode(episode, lines)
        if failure is not None:
            show_failure(failure, asked.again(f"--seed {failure.seed}"))
    return exits.DONE if episode.broken is None else exits.FAILED


def every_crash(asked: Wanted, seed: int) -> int:
    """Die at every write of one seed's world in turn; returns the exit code."""
    scene = asked.recipe.scenes().of(seed)
    try:
        report = explore_crashes(scene, seed)
    except Broken as broken:
        message = f"seed {seed} breaks something without any crash: {broken}"
        raise SimulationError(message, fix=f"mend that first: {asked.again(f'--seed {seed}')}") from broken
    if asked.json:
        print_json(_crashes(report))
    else:
        from .paint_simulation import show_crashes

        show_crashes(report)
    return exits.DONE if report.ok else exits.FAILED


def _kinds(asked: Wanted) -> list[str]:
    """The kinds of fault that were declared, without `garbage`, which strikes as one of its kinds."""
    declared = (fault.fault for fault in Faults.of_document(asked.recipe.faults).faults)
    return [kind for kind in dict.fromkeys(declared) if kind != "garbage"]


def _failure(asked: Wanted, report: Report) -> Failure | None:
    seed = report.first_broken
    return None if seed is None else shrink(asked.recipe.scenes().of(seed), seed)


def _document(report: Report, seconds: float | None, failure: Failure | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ok": not report.broken,
        "seeds": report.seeds,
        "events": report.events,
        "machine_events": report.folded,
        "simulated_seconds": report.seconds,
        "runs": dict(report.statuses),
        "reasons": [
            {"status": status, "reason": sentence, "runs": reason.runs, "first_seed": reason.seed}
            for (status, sentence), reason in sorted(report.reasons.items(), key=lambda item: -item[1].runs)
        ],
        "faults": {
            kind: {"struck": tally.struck, "calls": dict(tally.outcomes), "runs": dict(tally.runs)}
            for kind, tally in report.faults.items()
        },
        "machine_events_per_second": round(report.folded / seconds) if seconds else None,
        "failure": None,
    }
    if failure is not None:
        document["failure"] = {
            "seed": failure.seed,
            "invariant": failure.broken.invariant,
            "message": failure.broken.message,
            "run": failure.broken.run_id,
            "transcript": transcript(failure.episode, failure.broken.run_id, values=True),
        }
    return document


def _crashes(report: CrashReport) -> dict[str, Any]:
    differences = [{"write": d.write, "when": d.when, "message": d.message} for d in report.differences]
    return {"ok": report.ok, "writes": report.writes, "points": report.points, "differences": differences}
