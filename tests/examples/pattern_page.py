"""The pictures in the page of the patterns: `python -m tests.examples.pattern_page` draws them anew."""

import re
from pathlib import Path

from interlock.team.drawing import mermaid
from interlock.team.load import load
from interlock.team.prospect import Prospect

ROOT = Path(__file__).parents[2]
PATTERNS = ROOT / "examples" / "patterns"
PAGE = ROOT / "docs" / "patterns.md"
PICTURE = re.compile(r"(<!-- picture: (\w+) -->\n```mermaid\n)(.*?)(```\n)", re.DOTALL)
NAMES = sorted(folder.name for folder in PATTERNS.iterdir() if (folder / "team.yaml").exists())


def picture(name: str) -> str:
    return mermaid(Prospect.of(load(PATTERNS / name)).outline)


def drawn_into(page: str) -> str:
    """The page with every picture as its example's plan is."""
    return PICTURE.sub(lambda found: f"{found[1]}{picture(found[2])}{found[4]}", page)


if __name__ == "__main__":
    PAGE.write_text(drawn_into(PAGE.read_text("utf-8")), "utf-8")
