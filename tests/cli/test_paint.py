"""How results are drawn for people."""

from interlock.cli.paint_run import json_lines


def test_json_that_fits_stands_on_one_line_and_the_rest_is_broken_up():
    value = {"a": [1, 2], "long": {"text": "x" * 20, "list": ["y" * 20, {}]}, "empty": []}
    assert [*json_lines(value, 40)] == [
        "{",
        '  "a": [1, 2],',
        '  "long": {',
        f'    "text": "{"x" * 20}",',
        f'    "list": ["{"y" * 20}", {{}}]',
        "  },",
        '  "empty": []',
        "}",
    ]
    assert [*json_lines({"a": None}, 40)] == ['{"a": null}']
