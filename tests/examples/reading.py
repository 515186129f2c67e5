"""What the tests read of an example: its modules, which are in no package, and its tables and lines."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml


class Example:
    """The files in one folder of `examples`."""

    def __init__(self, name: str) -> None:
        self.folder = Path(__file__).parents[2] / "examples" / name

    def module(self, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{self.folder.name}_{name}", self.folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def table(self, name: str) -> Any:
        return yaml.safe_load((self.folder / f"{name}.yaml").read_text(encoding="utf-8"))

    def lines(self) -> list[Any]:
        """Its requests."""
        return [json.loads(line) for line in (self.folder / "input.jsonl").read_text(encoding="utf-8").splitlines()]
