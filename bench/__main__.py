"""python -m bench [WORKLOAD ...] [--json] [--quick] [--profile WORKLOAD]

One JSON line per workload; then a table, and a line that says how many goals fall short. The exit code is 0 even if a
goal is missed: this measures.

The environment variable INTERLOCK_BENCH_BANKING77 names a folder that holds train.csv and test.csv of Banking77
(columns text and category): support_desk then sorts those 13,083 messages, and says how many it sorted right. Without
it, it runs on the forty of the example. INTERLOCK_BENCH_RETAIL names one that holds orders.json and users.json of
tau-bench's retail world, for grounded, on_topic, recovery and plainly; without it, orders are made up.
INTERLOCK_BENCH_HALUEVAL names one that holds general_data.jsonl of HaluEval, for on_topic; without it, a dozen answers
of our own serve.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from .figures import NotMeasured, Result, Settings
from .folders import ROOT, fresh_folder
from .profiling import profile
from .report import closing, table
from .workloads import WORKLOADS
from .workloads.support_desk import VARIABLE

REPETITIONS = 15
REPETITIONS_QUICK = 5


def main() -> int:
    """Measure what the arguments name."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    repetitions = options.repetitions or (REPETITIONS_QUICK if options.quick else REPETITIONS)
    with fresh_folder(options.folder) as folder:
        settings = Settings(repetitions, options.scale, options.quick, folder)
        if options.profile:
            return _profile(options.profile, settings)
        results = [_measure(name, settings) for name in options.workloads or WORKLOADS]
    if not options.json:
        print(f"\n{table(results)}\n\n{closing(results)}")
    return 0


def _measure(name: str, settings: Settings) -> Result:
    try:
        result: Result = WORKLOADS[name].measure(settings)
    except NotMeasured as reason:
        result = Result(name, [], note=f"not measured: {reason}")
    if settings.scale == 1:
        for figure in result.figures:
            figure.judge()
    print(msgspec.json.encode(result).decode(), flush=True)
    return result


def _profile(name: str, settings: Settings) -> int:
    prepare = getattr(WORKLOADS[name], "prepare", None)
    if prepare is None:
        print(f"{name} works in processes of its own and can't be profiled from here", file=sys.stderr)
        return 2
    profile(prepare(settings), settings.repetitions)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="What Interlock costs, measured.",
        epilog=f"{VARIABLE}, an environment variable, names a folder that holds train.csv and test.csv of Banking77 "
        "(columns text and category), for support_desk to sort; without it, it runs on the example's own messages.",
    )
    parser.add_argument("workloads", nargs="*", choices=[*WORKLOADS, []], metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--json", action="store_true", help="the JSON lines alone, without the table")
    parser.add_argument("--quick", action="store_true", help="few repetitions, and nothing that takes minutes")
    parser.add_argument("--profile", choices=list(WORKLOADS), metavar="WORKLOAD", help="show where its time goes")
    parser.add_argument("--repetitions", type=int, help=f"of each measurement ({REPETITIONS})")
    parser.add_argument("--scale", type=float, default=1, help="of every size; goals are judged at 1 alone")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "bench", help="on the disk to be measured (build/bench)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
