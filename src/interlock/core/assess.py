"""A reply is assessed before its commit, never after: shape, scope, sizes, schema, its place in the bank, guardrails.

What passes becomes AttemptCommitted or QuestionAsked; what doesn't, AttemptRefused with every finding. An agent's reply
is hostile input: it may be anything at all, of any size.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Raw

from interlock.errors import CUT, AgentError, PathError, ReplyRefused, ValueRefused, cut_short

from . import paths
from .branches import granted
from .context import Bank, View
from .effects import Entry
from .events import (
    NULL,
    AttemptCommitted,
    AttemptRefused,
    BranchRequested,
    EffectWanted,
    Finding,
    QuestionAsked,
    ReplyDrafted,
    ReplyJudged,
    Verdict,
)
from .guardrail import Assessment, Draft, Panel
from .job import DELETE, Effect, Job, Question, Reply, Usage
from .judging import judgement_of
from .role import PATTERNS_SHOWN, Duty
from .values import Limits, decode, encode, encode_canonical, encode_written

FINDINGS_MAX = 20
FINDING_CHARS_MAX = 500
QUESTION_CHARS_MAX = 8_000
CHOICES_MAX = 50
EXCERPT_CHARS_MAX = 2_000
BYTES_SHOWN_MAX = 300
READS_MAX = 1_000
TOKENS_MAX = 2**53
USD_MAX = 1e9
MODEL_CHARS_MAX = 200
EFFECTS_MAX = 100
EFFECT_KEY_CHARS_MAX = 200


_NONE_BEGUN: Mapping[str, Entry] = {}


class Submission:
    """One reply on its way through the checks: what it writes as JSON, and what was found wrong with it."""

    __slots__ = ("deletes", "effects", "findings", "output", "request", "values", "writes")

    def __init__(self) -> None:
        self.writes: dict[str, Raw] = {}
        self.deletes: list[str] = []
        self.values: dict[str, Any] = {}
        self.output = NULL
        self.effects: tuple[EffectWanted, ...] = ()
        self.request: BranchRequested | None = None
        self.findings: list[Finding] = []

    def refuse(self, code: str, message: str, path: str = "") -> None:
        """Note one reason to refuse the reply, within bounds; it may quote the agent, so it may not even be Unicode."""
        if len(self.findings) < FINDINGS_MAX:
            message = cut_short(message, FINDING_CHARS_MAX).encode("utf-8", "replace").decode()
            self.findings.append(Finding(code, message, path[: paths.PATH_CHARS_MAX]))


def assess(  # noqa: PLR0913 - all that a verdict hangs on, by name
    answer: Any,
    *,
    bank: Bank,
    duty: Duty,
    index: int,
    limits: Limits,
    view: View,
    at_us: int,
    step: str,
    attempt: int,
    job: Job,
    begun: Mapping[str, Entry] = _NONE_BEGUN,
) -> Verdict:
    """The verdict on what an agent answered in one attempt of one step. It never raises, whatever the answer does.

    begun: the effects that its attempts have asked for before, by their keys.
    """
    reads = view.reads
    if len(reads) > READS_MAX:
        reads = ("*",)
    try:
        return _verdict(answer, bank, duty, index, limits, view, reads, at_us, step, attempt, job, begun)
    except BaseException:  # noqa: BLE001 - an answer's own methods may raise anything when it is looked at
        return AttemptRefused(at_us, step, attempt, (_UNREADABLE,), NULL, reads)


_AGAINST_THE_RULES = Assessment(False)
_UNGUARDED = Assessment(True)
_UNREADABLE = Finding("shape", "the reply can't be read: it raises an error when it is looked at")


def _verdict(  # noqa: PLR0913, PLR0917 - all that a verdict hangs on
    answer: Any,
    bank: Bank,
    duty: Duty,
    index: int,
    limits: Limits,
    view: View,
    reads: tuple[str, ...],
    at_us: int,
    step: str,
    attempt: int,
    job: Job,
    begun: Mapping[str, Entry],
) -> Verdict:
    submission = Submission()
    reply = _as_reply(answer, submission)
    usage = _usage(reply.usage, submission)
    if job.draft is not None:
        return _judgement(answer, reply, usage, duty, limits, reads, at_us, step, attempt, submission)
    if reply.ask is not None:
        question = _question(reply, submission)
        if question is not None and not submission.findings:
            return QuestionAsked(at_us, step, attempt, question, usage, reads)
    _take_writes(reply.writes, duty, index, limits, submission)
    _take_output(reply, limits, submission)
    if reply.effects != ():
        take_effects(reply.effects, duty, limits, begun, submission)
    if reply.request is not None:
        _take_request(reply.request, duty, submission)
    _check_values(duty, bank, submission)
    judged = _AGAINST_THE_RULES if submission.findings else _judged(duty.panel, reply, submission, view, job)
    found = tuple(submission.findings)
    if not judged.judge and not judged.passed:
        kept, scored = _kept(answer, reply, submission, limits), (judged.score, judged.scores)
        return AttemptRefused(at_us, step, attempt, found, kept, reads, usage, *scored, submission.effects)
    taken = (
        at_us,
        step,
        attempt,
        submission.writes,
        tuple(submission.deletes),
        reads,
        view.coarse,
        submission.output,
        usage,
        reply.confidence,
    )
    said = (judged.scores, found, submission.effects, submission.request)
    return ReplyDrafted(*taken, *said) if judged.judge else AttemptCommitted(*taken, judged.score, *said)


def _judgement(  # noqa: PLR0913, PLR0917 - all that a verdict hangs on
    answer: Any,
    reply: Reply,
    usage: Usage | None,
    duty: Duty,
    limits: Limits,
    reads: tuple[str, ...],
    at_us: int,
    step: str,
    attempt: int,
    submission: Submission,
) -> Verdict:
    """What a judge has said of a draft, if it has said no more and no less than that."""
    if reply.ask is not None or reply.request is not None or reply.effects != ():
        submission.refuse("shape", f"{duty.agent} judges here: it gives a score and findings, and nothing else")
    _take_writes(reply.writes, duty, 0, limits, submission)
    if not submission.findings:
        _check_against_schema(duty, submission)
    if submission.findings:
        kept = _kept(answer, reply, submission, limits)
        return AttemptRefused(at_us, step, attempt, tuple(submission.findings), kept, reads, usage)
    score, findings = judgement_of({path: decode(raw) for path, raw in submission.writes.items()})
    return ReplyJudged(at_us, step, attempt, score, findings, usage, reads)


def _judged(panel: Panel | None, reply: Reply, submission: Submission, view: View, job: Job) -> Assessment:
    """What the guardrails think of a reply that keeps to all rules; their findings are noted."""
    if panel is None:
        return _UNGUARDED
    writes = {}
    for path, raw in submission.writes.items():
        writes[path] = decode(raw)
    if submission.deletes:
        writes |= dict.fromkeys(submission.deletes, DELETE)
    judged = panel.assess(
        Draft(
            writes=writes,
            output=None if submission.output is NULL else decode(submission.output),
            confidence=reply.confidence,
            view=view.unread(),
            instructions=job.instructions,
            feedback=job.feedback,
            item=job.item,
            step=job.step,
            agent=job.agent,
            action=job.action,
            answer=job.answer,
        )
    )
    for finding in judged.findings:
        submission.refuse(finding.code, finding.message, finding.path)
    return judged


def submitted(writes: Any, *, bank: Bank, duty: Duty, index: int = 0, limits: Limits) -> Submission:
    """Writes that somebody else gives in the place of an agent, on their way through what no writer may pass by.

    index: of the copy that they are for, in a step that has copies.
    """
    submission = Submission()
    _take_writes(writes, duty, index, limits, submission)
    _check_values(duty, bank, submission)
    return submission


def _check_values(duty: Duty, bank: Bank, submission: Submission) -> None:
    if duty.schemas and not submission.findings:
        _check_against_schema(duty, submission)
    if not submission.findings:
        for finding in bank.findings(submission.writes, submission.deletes):
            submission.refuse(finding.code, finding.message, finding.path)


_NOTHING = Reply()


def _as_reply(answer: Any, submission: Submission) -> Reply:
    if type(answer) is dict:
        return Reply(writes=answer)
    if type(answer) is Reply:
        if answer.confidence is not None and not _is_share(answer.confidence):
            submission.refuse("shape", "confidence is not a number from 0 to 1")
        return answer
    if isinstance(answer, ReplyRefused):
        submission.refuse("shape", answer.message)
        return Reply(usage=answer.usage)
    submission.refuse("shape", no_reply(answer))
    return _NOTHING


def no_reply(answer: Any) -> str:
    """The sentence about an answer that is neither a dict nor a Reply."""
    what = "nothing" if answer is None else f"a {type(answer).__name__}"
    return f"the agent returned {what}; return a dict of writes or an interlock.Reply"


def _is_share(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 1


def _usage(usage: Any, submission: Submission) -> Usage | None:
    if usage is None:
        return None
    if type(usage) is Usage:  # a subclass may have fields that the journal couldn't read back
        counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.requests)
        counts_fine = all(type(count) is int and 0 <= count <= TOKENS_MAX for count in counts)
        usd, model = usage.usd, usage.model
        usd_fine = usd is None or (type(usd) in {int, float} and 0 <= usd <= USD_MAX)
        if counts_fine and usd_fine and type(model) is str and len(model) <= MODEL_CHARS_MAX and model.isprintable():
            return usage
    submission.refuse("shape", "usage is not an interlock.Usage with counts and a price from 0 up")
    return None


def usage_of(answer: Any) -> Usage | None:
    """The valid usage in an answer, or an error, that is not assessed."""
    told = type(answer) is Reply or isinstance(answer, AgentError)
    return _usage(answer.usage, Submission()) if told else None


def _question(reply: Reply, submission: Submission) -> Question | None:
    ask = reply.ask
    fine = (
        type(ask) is Question
        and type(ask.text) is str
        and 0 < len(ask.text) <= QUESTION_CHARS_MAX
        and type(ask.choices) in {tuple, list}
        and len(ask.choices) <= CHOICES_MAX
        and all(type(choice) is str and len(choice) <= FINDING_CHARS_MAX for choice in ask.choices)
    )
    alone = type(reply.writes) is dict and not reply.writes and reply.effects == () and reply.request is None
    if not fine or not alone:
        submission.refuse(
            "shape",
            f"ask is a Question with a text of 1 to {QUESTION_CHARS_MAX} characters and at most {CHOICES_MAX} choices,"
            " and comes without writes, effects and a request",
        )
        return None
    assert ask is not None
    text, *choices = (part.encode("utf-8", "replace").decode() for part in (ask.text, *ask.choices))
    return Question(text, tuple(choices))


def _take_writes(writes: Any, duty: Duty, index: int, limits: Limits, submission: Submission) -> None:
    if type(writes) is not dict:
        submission.refuse("shape", f"writes is a {type(writes).__name__}, not a dict of dotted paths")
        return
    if len(writes) > limits.commit_fields_max:
        submission.refuse("size", f"{len(writes):,} writes, more than {limits.commit_fields_max:,}")
        return
    can_write = duty.writable_by(index).cover
    total = 0
    taken: dict[str, None] = {}
    for key, value in writes.items():
        path = _path(key, submission)
        if path is None:
            continue
        if not can_write(path):
            submission.refuse("scope", f"{duty.agent} may not write {path}{_granted(duty, index)}", path)
            continue
        if path in taken:
            submission.refuse("path", f"{path} is written twice", path)
        elif value is DELETE:
            submission.deletes.append(path)
        else:
            total += _take_value(path, value, limits, submission)
        taken[path] = None
    if total > limits.commit_bytes_max:
        submission.refuse("size", f"the writes are {total:,} bytes of JSON, more than {limits.commit_bytes_max:,}")
    if len(taken) > 1:
        _check_apart(taken, submission)


def _granted(duty: Duty, index: int) -> str:
    patterns = duty.writable_by(index).patterns
    more = ", ..." if len(patterns) > PATTERNS_SHOWN else ""
    return f"; it may write {', '.join(patterns[:PATTERNS_SHOWN]) or 'nothing'}{more}"


def _path(key: Any, submission: Submission) -> str | None:
    try:
        return paths.canonical(key) if type(key) is str else paths.canonical("")
    except PathError:
        shown = repr(cut_short(key, paths.SHOWN_CHARS_MAX)) if type(key) is str else f"a {type(key).__name__}"
        submission.refuse("path", f"{shown} is not a dotted path")
        return None


def _take_value(path: str, value: Any, limits: Limits, submission: Submission) -> int:
    try:
        raw = encode(value, limits)
    except ValueRefused as error:
        submission.refuse("value", f"{path}: {error.message}", path)
        return 0
    submission.writes[path] = Raw(raw)
    submission.values[path] = value
    return len(raw)


def _check_apart(taken: dict[str, None], submission: Submission) -> None:
    for path in taken:
        inside = next((prefix for prefix in paths.prefixes(path) if prefix in taken), None)
        if inside is not None:
            submission.refuse("path", f"{path} and {inside} are both written; write one of them", path)


def _take_output(reply: Reply, limits: Limits, submission: Submission) -> None:
    if reply.output is not None:
        try:
            submission.output = Raw(encode(reply.output, limits))
        except ValueRefused as error:
            submission.refuse("value", f"output: {error.message}")


def take_effects(effects: Any, duty: Duty, limits: Limits, begun: Mapping[str, Entry], submission: Submission) -> None:
    """Check the effects that a reply asks for: none of them is taken where something is wrong with one."""
    if type(effects) not in {tuple, list} or len(effects) > EFFECTS_MAX:
        submission.refuse("effect", f"effects is no list of at most {EFFECTS_MAX} interlock.Effects")
        return
    taken: dict[str, EffectWanted] = {}
    problems: list[str] = []
    for effect in effects:
        try:
            wanted = wanted_effect(effect, duty, limits, duty.effects)
        except ValueRefused as error:
            problems.append(error.message)
            continue
        before = begun.get(wanted.key)
        if wanted.key in taken:
            problems.append(f"two effects have the key {wanted.key}; give each a key of its own")
        elif (
            before is not None and before.standing != "requested" and not before.is_same(wanted.effect, wanted.payload)
        ):
            problems.append(
                f"the effect with the key {wanted.key} was begun before, with another payload; take another key"
            )
        taken[wanted.key] = wanted
    for problem in problems:
        submission.refuse("effect", problem)
    if sum(len(bytes(wanted.payload)) for wanted in taken.values()) > limits.commit_bytes_max:
        submission.refuse(
            "size", f"the payloads of the effects are more than {limits.commit_bytes_max:,} bytes of JSON"
        )
    elif not problems:
        submission.effects = tuple(taken.values())


def _take_request(request: Any, duty: Duty, submission: Submission) -> None:
    try:
        submission.request = granted(request, duty.agent, duty.branches)
    except ValueRefused as error:
        submission.refuse("request", error.message)


def wanted_effect(effect: Any, duty: Duty, limits: Limits, among: Collection[str]) -> EffectWanted:
    """An effect that an agent asks for, checked. among: those it may ask for. Raises ValueRefused."""
    if type(effect) is not Effect or type(effect.effect) is not str:
        raise ValueRefused("an effect is not an interlock.Effect with a name")
    name, key = effect.effect, effect.effect if effect.key == "" else effect.key
    if name not in among:
        allowed = ", ".join(among) or "none"
        message = f"{duty.agent} may not ask for the effect {cut_short(name, paths.SHOWN_CHARS_MAX)!r}"
        raise ValueRefused(f"{message}; of the team's effects, its allowed actions have {allowed}")
    if type(key) is not str or not (len(key) <= EFFECT_KEY_CHARS_MAX and key.isprintable()):
        raise ValueRefused(f"the key of the effect {name} is no text of 1 to {EFFECT_KEY_CHARS_MAX} characters")
    try:
        payload = encode(effect.payload, limits)
    except ValueRefused as error:
        raise ValueRefused(f"the payload of the effect {name}: {error.message}") from None
    return EffectWanted(name, key, Raw(encode_canonical(decode(payload))))


def _check_against_schema(duty: Duty, submission: Submission) -> None:
    for schema in duty.schemas:
        for path, message in schema.findings(submission.values):
            submission.refuse("schema", message, path)


def _kept(answer: Any, reply: Reply, submission: Submission, limits: Limits) -> Raw:
    """What a refused reply said: its writes where all may be written, else a text: they as JSON, or an excerpt."""
    if submission.writes and len(submission.writes) == len(reply.writes):
        raw = encode_written(submission.writes)
        if len(raw) <= limits.value_bytes_max:
            return Raw(raw)
    if type(reply.writes) is dict and reply.writes:
        with suppress(ValueRefused):
            return Raw(encode_written(encode(reply.writes, limits, EXCERPT_CHARS_MAX).decode()))
    return Raw(encode_written(excerpt(answer)))


def excerpt(answer: Any) -> str:
    """The beginning of anything as text, without ever building the whole of a built-in one."""
    from reprlib import Repr  # noqa: PLC0415 - only a refused reply pays for the import

    short: Any = Repr()
    short.maxlevel, short.maxstring, short.maxother = 4, 300, 300
    short.repr_bytes = short.repr_bytearray = lambda value, _level: repr(
        value if len(value) <= BYTES_SHOWN_MAX else value[:BYTES_SHOWN_MAX] + CUT.encode()
    )
    if type(answer) is Reply:
        answer = answer.writes if answer.ask is None else answer.ask
    if isinstance(answer, ReplyRefused):
        return cut_short(answer.said, EXCERPT_CHARS_MAX).encode("utf-8", "replace").decode()
    try:
        text: str = short.repr(answer)
    except Exception as error:  # noqa: BLE001 - an agent's object may raise anything from its __repr__
        text = f"<a {type(answer).__name__} whose repr fails: {type(error).__name__}>"
    return cut_short(text, EXCERPT_CHARS_MAX).encode("utf-8", "replace").decode()
