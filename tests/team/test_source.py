"""Reading a YAML file that may be hostile: plain data, lines, and what is refused where."""

import time

import pytest
import yaml

from interlock.errors import TeamError
from interlock.team import source
from interlock.team.source import DEPTH_MAX, FILE_BYTES_MAX, parse, read


@pytest.fixture(autouse=True, params=["CSafeLoader", "SafeLoader"])
def loader(request, monkeypatch):
    """Both parsers of PyYAML: wheels have the one in C, other installations may not."""
    if not hasattr(yaml, request.param):
        pytest.skip(f"no {request.param} here")
    monkeypatch.setattr(source, "_Loader", getattr(yaml, request.param))


def refused(text):
    with pytest.raises(TeamError) as caught:
        parse(text, "team.yaml")
    return caught.value.line, caught.value.sentence


def test_data_is_plain_and_each_key_and_item_has_its_line():
    text = "a: 1\nb:\n  - x: yes\n  - [1.5, null, 'no']\n"
    found = parse(text, "team.yaml")
    assert found.data == {"a": 1, "b": [{"x": True}, [1.5, None, "no"]]}
    assert [found.line(place) for place in [("a",), ("b",), ("b", "0", "x"), ("b", "1", "2")]] == [1, 2, 3, 4]


def test_an_unknown_place_has_the_line_of_the_nearest_enclosing_one():
    found = parse("# first\na:\n  b: {c: 1}\n", "team.yaml")
    assert found.line(("a", "b", "missing", "deeper")) == 3
    assert found.line(("z",)) == 1


def test_a_file_with_a_byte_order_mark_and_umlauts_is_read(tmp_path):
    file = tmp_path / "team.yaml"
    file.write_bytes("\ufeffa: Grüße 🚂\n".encode())
    assert read(file).data == {"a": "Grüße 🚂"}


def test_aliases_and_merge_keys_work_and_explicit_keys_win():
    found = parse("base: &base {a: 1, b: 2}\nitem:\n  <<: *base\n  b: 3\nsame: *base\n", "team.yaml")
    assert found.data["item"] == {"a": 1, "b": 3}
    assert found.data["same"] == {"a": 1, "b": 2}
    assert found.line(("item", "a")) == 3
    assert found.line(("same", "a")) == 5


def test_the_first_of_several_merged_mappings_wins():
    assert parse("x: {<<: [{a: 1}, {a: 2, b: 2}]}", "team.yaml").data == {"x": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("", 0, "empty"),
        ("# nothing\n", 0, "empty"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key a stands here twice, first in line 1"),
        ("a:\n  x: 1\n  'x': 2\n", 3, "the key x stands here twice, first in line 2"),
        ("x:\n  <<: {a: 1}\n  <<: {b: 1}\n", 3, "the key << stands here twice"),
        ("a: 1\nyes: 2\n", 2, "YAML reads the key yes as true"),
        ("a: {on: 1, 'on': 2}\n", 1, "the key on stands here twice, first in line 1"),
        ("a: 1\n2: 2\n", 2, "YAML reads the key 2 as the number 2"),
        ("a: 1\n~: 2\n", 2, "YAML reads the key ~ as nothing"),
        ("a: 1\n? [b]\n: 2\n", 2, "a key is a text"),
        ("a: 1\n'': 2\n", 2, "a key is empty"),
        ("a: 1\n---\nb: 2\n", 2, "several documents"),
        ("a: 1\n\tb: 2\n", 2, "this is not YAML"),
        ("a: [1,\nb: 2\n", 3, "while parsing a flow sequence that begins in line 1"),
        ("a: 'open\n\n", 3, "this is not YAML"),
        ("a: 1\nb: *nothing\n", 2, "*nothing stands for nothing"),
        ("a: &a\n  - *a\n", 2, "*a stands for nothing"),
        ("a: 1\nb: 2024-01-31\n", 2, "YAML reads '2024-01-31' as a timestamp"),
        ("a: 1\nb: !!binary aGk=\n", 2, "the tag tag:yaml.org,2002:binary has no meaning here"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "has no meaning here"),
        ("a: !mine 1\n", 1, "the tag !mine has no meaning here"),
        ("a: !!set {b}\n", 1, "has no meaning here"),
        ("a: 1\nb: .nan\n", 2, "'.nan' is not a value that JSON has"),
        ("b: -.inf\n", 1, "not a value that JSON has"),
        ("b: 99999999999999999999\n", 1, "not a value that JSON has"),
        ("a: !!int ''\n", 1, "is no int"),
        ("a: !!bool maybe\n", 1, "'maybe' is no bool"),
        ("a: !!int '" + "1:" * 200_000 + "1'\n", 1, "is no int"),
        ("x: {<<: 1}\n", 1, "<< takes in a mapping"),
        ("a: ok\nb: \x07\n", 2, "has no place in YAML"),
    ],
)
def test_what_is_refused_and_in_which_line(text, line, part):
    found, sentence = refused(text)
    assert (found, part in sentence) == (line, True), sentence


def test_a_long_plain_number_is_text_and_costs_no_time():
    started = time.monotonic()
    assert parse("a: " + "1:" * 200_000 + "1", "team.yaml").data["a"].startswith("1:1:")
    assert time.monotonic() - started < 20


def test_laughing_a_billion_times_is_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    line, sentence = refused("\n".join(lines))
    assert "more than 200,000 values" in sentence
    assert line == 6


@pytest.mark.parametrize("deep", ["[" * 5_000, "{a: " * 5_000, "- " * 5_000])
def test_deep_nesting_is_refused_at_once(deep):
    assert f"deeper than {DEPTH_MAX}" in refused(deep)[1]


def test_depth_counts_through_aliases():
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]
    line, sentence = refused("\n".join(lines))
    assert f"deeper than {DEPTH_MAX}" in sentence
    assert line == DEPTH_MAX


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path):
    file = tmp_path / "team.yaml"
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(TeamError, match="larger than"):
        read(file)


def test_a_file_that_is_not_utf_8_names_the_line(tmp_path):
    file = tmp_path / "team.yaml"
    file.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(TeamError, match="not UTF-8") as caught:
        read(file)
    assert caught.value.line == 2


def test_a_missing_file_and_a_folder_in_its_place_say_so(tmp_path):
    with pytest.raises(TeamError, match="No such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(TeamError, match="can't be read"):
        read(tmp_path)
