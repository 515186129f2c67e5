"""What an agent is handed and what it returns."""

import msgspec
import pytest

from interlock.core.job import DELETE, Job, Question, Reply, Usage


def test_delete_shows_its_public_name():
    assert repr(DELETE) == "interlock.DELETE"


def test_a_job_cannot_be_changed():
    job = Job(view={}, run_id="r", step="s", agent="a", action="act", attempt=1, idempotency_key="r/s/1")

    with pytest.raises(AttributeError):
        job.attempt = 2
    assert (job.instructions, job.feedback, job.item, job.index) == ("", (), None, None)


def test_a_reply_is_empty_by_default_and_shares_nothing_with_the_next():
    Reply().writes["x"] = 1

    assert Reply() == Reply(writes={}, output=None, usage=None, confidence=None, ask=None)


def test_an_unknown_price_is_none_and_not_zero():
    assert Usage().usd is None
    assert msgspec.json.encode(Usage(1)) == b'{"input_tokens":1}'


def test_a_question_is_free_text_where_nothing_is_to_be_chosen():
    assert Question("Why?").choices == ()
