"""How long `import interlock` takes and how much it installs.

Time: fresh processes that import it, in turn with processes that do nothing; the median of the differences. Size: the
site-packages of a new virtual environment that holds Interlock and its dependencies, without pip; left out when quick.
"""

import subprocess
import sys
import venv
from pathlib import Path
from time import perf_counter

from bench.figures import Figure, Goal, NotMeasured, Result, Settings, interleave
from bench.folders import ROOT, bytes_of, fresh_folder

SECONDS_MAX = 0.25
MEGABYTES_MAX = 30
PAIRS_PER_REPETITION = 3


def measure(settings: Settings) -> Result:
    repetitions = settings.repetitions * PAIRS_PER_REPETITION
    pairs = interleave(repetitions, lambda: python_seconds("import interlock"), lambda: python_seconds("pass"))
    differences = sorted(mine - bare for mine, bare in zip(pairs.works, pairs.references, strict=True))
    seconds = differences[len(differences) // 2]
    figures = [
        Figure(
            name="import",
            value=seconds,
            unit="s",
            reference=pairs.reference,
            reference_name="start of Python",
            ratio=seconds / pairs.reference,
            goal=Goal("value", at_most=SECONDS_MAX),
        )
    ]
    result = Result("import_size", figures)
    if settings.quick:
        result.note = "quick: the installed size was left out"
        return result
    try:
        sizes = installed_bytes(settings.folder)
    except NotMeasured as reason:
        result.note = str(reason)
        return result
    megabytes = sum(sizes.values()) / 1e6
    figures.append(Figure(name="installed", value=megabytes, unit="MB", goal=Goal("value", at_most=MEGABYTES_MAX)))
    result.details["megabytes"] = {name: round(size / 1e6, 2) for name, size in sizes.items()}
    return result


def python_seconds(statement: str) -> float:
    """How long a fresh Python takes for a statement."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - started


def installed_bytes(parent: Path) -> dict[str, int]:
    """What each package takes in an environment made for Interlock alone, the largest first. Raises NotMeasured."""
    with fresh_folder(parent) as folder:
        venv.create(folder / "venv", with_pip=False)
        interpreter = str(folder / "venv" / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", interpreter, "--disable-pip-version-check", "-qq", "install"]
        done = subprocess.run(
            [*pip, "-c", "constraints/newest.txt", "."], cwd=ROOT, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise NotMeasured(f"the installed size: pip failed: {done.stderr.strip()[-300:]}")
        (packages,) = (folder / "venv").glob("lib/python*/site-packages")
        sizes = {entry.name: bytes_of(entry) for entry in packages.iterdir()}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))
