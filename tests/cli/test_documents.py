"""What commands print for programs."""

import json

from interlock.cli.documents import json_line, print_json

HOSTILE = "\x1b[2J \x9b2J \x7f \u202eback\u202c \u2028 \u200b \U000e0041 \U000e0101"
SHOWN = "Rosa Jiménez \U0001f469\u200d\U0001f4bb \u2764\ufe0f نمی\u200cخواهم"


def test_a_document_controls_no_terminal_and_hides_nothing():
    told = json_line({"text": HOSTILE}).decode()
    assert told == (
        '{"text":"\\u001b[2J \\u009b2J \\u007f \\u202eback\\u202c \\u2028 \\u200b \\udb40\\udc41 \\udb40\\udd01"}\n'
    )
    assert json.loads(told) == {"text": HOSTILE}


def test_texts_that_anybody_can_read_stay_as_they_are(capsysbinary):
    assert print_json({"text": SHOWN, "of": "us\n"}) == 0
    assert capsysbinary.readouterr().out.decode() == f'{{"text":"{SHOWN}","of":"us\\n"}}\n'
