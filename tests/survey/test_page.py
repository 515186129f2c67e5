"""The page shows what is written for the graph on it."""

from interlock.survey import survey
from tests.test_docs import BLOCK, text_of

PAGE = "docs/audit-a-system.md"


def test_the_graph_of_the_page_becomes_the_team_file_of_the_page(tmp_path):
    files = {block["file"]: block["code"] for block in BLOCK.finditer(text_of(PAGE)) if block["file"]}
    (tmp_path / "shop.py").write_text(files["shop.py"])
    found = survey("langgraph:shop:graph", tmp_path)
    assert found.skeleton.endswith(f"\n\n{files['team.yaml']}")
    codes = {finding.code for finding in found.findings}
    assert codes == {"no_checkpoint", "no_timeout", "unasked_effect", "several_writers"}


def test_every_code_is_on_the_page():
    import re
    from pathlib import Path

    import interlock.survey

    sources = Path(interlock.survey.__file__).parent.glob("*.py")
    codes = {code for file in sources for code in re.findall(r'Finding\(\s*"(\w+)"', file.read_text("utf-8"))}
    assert codes
    assert [code for code in codes if f"`{code}`" not in text_of(PAGE)] == []
