"""A missing optional part is named by the extra that brings it."""

import pytest

from interlock.agents import extras
from interlock.errors import MissingExtra

TOLD = "no_such_framework is not installed; pip install 'interlock[such]'"


@pytest.mark.parametrize("module", ["no_such_framework", "no_such_framework.graph"])
@pytest.mark.parametrize("look", [extras.check, extras.load])
def test_what_is_missing_is_named(look, module):
    with pytest.raises(MissingExtra) as missing:
        look(module, "such")
    assert str(missing.value) == TOLD


def test_what_is_there_is_imported():
    extras.check("json.decoder", "such")
    assert extras.load("json.decoder", "such").JSONDecoder


def test_a_framework_that_lacks_something_itself_says_what(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        extras.load("half_installed", "such")
