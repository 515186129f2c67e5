"""What arrived in a run becomes a fact without secrets: a reply that holds one is refused, texts are told without."""

from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.events import Finding
from interlock.core.job import Usage
from interlock.core.values import decode, encode_written
from interlock.ports import Secrets

# Their texts may be cut, so that a piece of a secret is left that isn't found as a whole.
_CUT = (e.AttemptRefused, e.AttemptFailed, e.EffectDone, e.EffectFailed, e.EffectBecameUnknown)
_WITH_FINDINGS = (e.AttemptCommitted, e.ReplyDrafted, e.ReplyJudged)


def without_secrets(fact: e.AnyEvent, secrets: Secrets) -> e.AnyEvent:
    """The fact as it may be stored."""
    if isinstance(fact, e.RunStarted):  # refused before, if it holds any
        return fact
    name = secrets.among(e.encode(fact))
    if name and isinstance(fact, e.AttemptCommitted | e.ReplyDrafted | e.QuestionAsked):
        message = f"the reply holds the value of {name}, which is secret; leave it out"
        refused = (Finding("secret", message),)
        fact = e.AttemptRefused(fact.at_us, fact.step, fact.attempt, refused, e.NULL, fact.reads, fact.usage)
    if name and isinstance(fact, e.QuestionAnswered):
        message = f"what was decided holds the value of {name}, which is secret; leave it out"
        fact = e.AnswerRefused(fact.at_us, fact.step, fact.by, fact.decision, (Finding("secret", message),))
    if name and isinstance(fact, e.WaitEnded | e.EventReceived):
        message = f"the event holds the value of {name}, which is secret; leave it out"
        what = (fact.event_id, fact.by, (Finding("secret", message),))
        fact = e.EventRefused(fact.at_us, fact.event if isinstance(fact, e.EventReceived) else fact.step, *what)
    if name and isinstance(fact, e.AttemptRefused):  # what can't be told as it is, can't be performed as it was meant
        fact = msgspec.structs.replace(fact, effects=())
    is_cut = isinstance(fact, _CUT) or (isinstance(fact, _WITH_FINDINGS) and fact.findings)
    return _told(fact, secrets) if name or is_cut else fact


def _told(fact: e.AnyEvent, secrets: Secrets) -> e.AnyEvent:
    """A fact whose texts are told without secrets."""
    texts = {name: getattr(fact, name) for name in _TEXTS if hasattr(fact, name)}
    return msgspec.structs.replace(fact, **{name: _hidden(value, secrets) for name, value in texts.items()})


_TEXTS = ("findings", "reply", "reads", "usage", "error", "by", "reason", "result", "flaw", "event_id")


def _hidden(value: Any, secrets: Secrets) -> Any:
    """The same value with all its texts told without secrets."""
    match value:
        case str():
            return secrets.hidden(value)
        case dict():
            return {secrets.hidden(key): _hidden(inner, secrets) for key, inner in value.items()}
        case list() | tuple():
            return type(value)(_hidden(inner, secrets) for inner in value)
        case msgspec.Raw():
            return msgspec.Raw(encode_written(_hidden(decode(value), secrets)))
        case Finding():
            return Finding(value.code, secrets.hidden(value.message), secrets.hidden(value.path))
        case Usage():
            return msgspec.structs.replace(value, model=secrets.hidden(value.model))
    return value
