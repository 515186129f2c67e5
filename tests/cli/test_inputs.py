"""What `run` takes as input, and how it names mistakes."""

import io
import sys

import pytest

from interlock.cli import inputs
from interlock.cli.rows import parse_mapping
from interlock.errors import InputError


def rows(data, suffix="", mapping=(), name="in"):
    raw = data if isinstance(data, bytes) else data.encode()
    return [*inputs.parse(raw, name, suffix, parse_mapping(mapping))]


def requests(*arguments, **more):
    return [row.request for row in rows(*arguments, **more)]


def refusal(*arguments, **more):
    with pytest.raises(InputError) as raised:
        rows(*arguments, **more)
    return str(raised.value)


# --- JSON ---


def test_an_object_is_one_request_and_a_list_is_many():
    assert requests('{"a": 1}', ".json") == [{"a": 1}]
    found = rows('[\n {"a": 1},\n\n {"a": [1,\n 2]}, {"a": 3}]', ".json")
    assert [row.request["a"] for row in found] == [1, [1, 2], 3]
    assert [row.place for row in found] == ["in:2", "in:4", "in:5"]


def test_equal_items_of_a_list_have_lines_of_their_own():
    assert [row.place for row in rows('[{"a":1},\n{"a":1}]')] == ["in:1", "in:2"]


def test_lines_may_be_empty_and_end_as_on_windows():
    found = rows('\n{"a": 1}\r\n\r\n   \n{"a": 2}', ".jsonl")
    assert [(row.place, row.request["a"]) for row in found] == [("in:2", 1), ("in:5", 2)]


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert requests(b'\xef\xbb\xbf{"a": "\xc3\xa4"}\n{"a": 2}', ".jsonl") == [{"a": "ä"}, {"a": 2}]
    assert requests(b"\xef\xbb\xbftext\nhi\n", ".csv", ["text=a.b"]) == [{"a": {"b": "hi"}}]


@pytest.mark.parametrize(
    ("data", "suffix", "message"),
    [
        ('{"a": 1}\n{"a": 2,}\n', ".jsonl", "in:2: this is not JSON (column 9: "),
        ('{"a": 1}\n{"a":\n', "", "in:2: this is not JSON"),
        ('{\n "a": 1,\n "b": x\n}', ".json", "in:3: this is not JSON (column 7: "),
        ('{"a": 1}\n{"a": 2}\n', ".json", "one JSON object a line goes into a file named .jsonl"),
        ('{"a": 1}\n[2]\n', ".jsonl", "in:2: a request is an object, not a list"),
        ("[1]", ".json", "in:1: a request is an object, not a number or boolean"),
        ('["x"]', "", "in:1: a request is an object, not a text"),
        ("[]", ".json", "in holds an empty list"),
        (" \n\n", ".jsonl", "in is empty"),
        (b'{"a": 1}\n{"a": "\xff"}', ".jsonl", "in:2: this is not UTF-8; save the file as UTF-8"),
        ("hello".encode("utf-16"), "", "in:1: this is UTF-16"),
        ("[" * 5000 + "]" * 5000, "", "in:1: "),
        ("name,text\n", "", "in:1: this is no JSON object; give JSON objects"),
    ],
)
def test_what_is_no_request_is_refused_by_line(data, suffix, message):
    assert message in refusal(data, suffix)


def test_the_column_counts_characters():
    assert "column 10" in refusal('{"ä": "ö"x}', ".jsonl")


@pytest.mark.parametrize(
    ("data", "mapping", "kind"),
    [
        ('{"a": 1}\n{"a": 2}', (), 2),
        ('{"a":\n 1}', (), 1),
        ('[{"a": 1}, {"a": 2}]', (), 2),
        ("a,b\n1,2\n", ("a=x",), 1),
        ('{"a": 1}', ("a=x",), 1),
    ],
)
def test_what_has_no_telling_name_is_told_by_its_content(data, mapping, kind):
    assert len(rows(data, mapping=mapping)) == kind


def test_a_mapping_moves_keys_and_takes_no_others():
    assert requests('{"a": 1, "b": {"c": 2}, "d": 3}', mapping=["a=x.y", "b=x.z"]) == [{"x": {"y": 1, "z": {"c": 2}}}]
    assert "in:1: there is no key aa, which --map names; did you mean a?" in refusal('{"a": 1}', mapping=["aa=x"])


# --- CSV ---


def test_columns_go_where_the_mapping_says():
    data = 'id,text,"note, long"\n1,"hello\nthere",x\n\n2,"say ""hi""",\n'
    found = rows(data, ".csv", ["text=ticket.message", "note, long=ticket.note"])
    assert [row.request for row in found] == [
        {"ticket": {"message": "hello\nthere", "note": "x"}},
        {"ticket": {"message": 'say "hi"', "note": ""}},
    ]
    assert [row.place for row in found] == ["in:2", "in:5"]


@pytest.mark.parametrize(
    ("data", "mapping", "message"),
    [
        ("a,b\n1,2\n", [], "in is CSV; say where its columns go: --map column=path"),
        ("text,b,text\n", ["b=x"], "in:1: two columns are called text; rename one of them"),
        ("text,b\n1,2\n", ["txet=x"], "in:1: there is no column txet, which --map names; did you mean text?; it has"),
        ("text;b\n1;2\n", ["text=x"], "separate the columns with commas, not ';'"),
        ("a,b\n1,2\n1,2,3\n", ["a=x"], "in:3: 3 fields under a header of 2; put a field that holds a comma"),
        ("a,b\n1\n", ["a=x"], "in:2: 1 fields under a header of 2; add what is missing"),
        ('a,b\n1,2\n3,"4\n5,6\n', ["a=x"], "in:3: this is not CSV"),
        ("a,b\n\n", ["a=x"], "in has a header and no rows"),
    ],
)
def test_csv_that_is_not_whole_is_refused_by_line(data, mapping, message):
    assert message in refusal(data, ".csv", mapping)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (["text"], "--map text: that is no column=path"),
        (["=x"], "--map =x: that is no column=path"),
        (["a=x..y"], "--map a=x..y: 'x..y' is not a dotted path"),
        (["a=x", "a=y"], "--map names the column a twice"),
        (["a=x", "b=x"], "--map puts a and b both at x"),
        (["a=x.y", "b=x"], "--map puts b and a both at x"),
    ],
)
def test_a_mapping_that_can_not_be_is_refused(mapping, message):
    with pytest.raises(InputError) as raised:
        parse_mapping(mapping)
    assert message in str(raised.value)


# --- files and standard input ---


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "tickets.jsonl").touch()
    with pytest.raises(InputError, match=r"there is no file .*tickts.jsonl; did you mean tickets.jsonl"):
        inputs.read(str(tmp_path / "tickts.jsonl"))
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        inputs.read(str(tmp_path))


def test_input_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "INPUT_BYTES_MAX", 4)
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="split it"):
        inputs.read(str(tmp_path / "a.json"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(InputError, match="there is no input; name a file"):
        inputs.read(None)


def test_standard_input_is_read_where_nothing_is_named(monkeypatch):
    for name in (None, "-"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
        given = inputs.read(name)
        assert (given.origin, given.rows[0].place) == ("standard input", "standard input:1")
