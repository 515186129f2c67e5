"""Warnings are shown once, and their repeats counted."""

import logging

from interlock.cli.notices import REPEAT_SECONDS, Notices

log = logging.getLogger("interlock")


def test_repeats_are_counted_for_each_agent():
    said, now = [], [0.0]
    with Notices(said.append, lambda: now[0]):
        for agent in ("a", "a", "b", "a"):
            log.warning("agent %s has blocked the loop for %.1f s", agent, 0.6)
        assert said == [
            "warning: agent a has blocked the loop for 0.6 s",
            "warning: agent b has blocked the loop for 0.6 s",
        ]
        now[0] = REPEAT_SECONDS
        log.warning("agent %s has blocked the loop for %.1f s", "a", 0.7)
        assert said[2:] == ["warning: agent a has blocked the loop for 0.7 s (2 more like this)"]
        log.warning("agent %s has blocked the loop for %.1f s", "a", 0.8)
    assert said[3:] == ["warning: agent a has blocked the loop for 0.8 s (1 more like this)"]


def test_what_is_no_warning_is_not_shown_and_nothing_stays_behind():
    said = []
    with Notices(said.append):
        log.info("quiet")
        log.warning("loud\x1b[0m")
    assert said == ["warning: loud\\u001b[0m"]
    assert not log.handlers
    assert log.propagate
