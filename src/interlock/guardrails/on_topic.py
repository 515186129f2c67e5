"""`on_topic`: a reply has something to do with its job. docs/guardrails.md says what it can't see."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec

from interlock.core.events import Finding
from interlock.core.guardrail import FINDINGS_MAX, FINE, SCORE_DIGITS, Draft, Opinion
from interlock.core.paths import Patterns, canonical, parse_pattern
from interlock.core.values import ABSENT
from interlock.errors import TeamError, cut_short

from . import embedding
from .shown import leaves

# Of what is longer, the beginning is compared.
TEXT_CHARS_MAX = 5_000
TEXTS_CHARS_MAX = 50_000
SHOWN_CHARS_MAX = 20_000
EXCERPT_CHARS_MAX = 80

_Cosine = Annotated[float, msgspec.Meta(ge=-1, le=1)]
_Words = Annotated[int, msgspec.Meta(ge=1, le=TEXT_CHARS_MAX)]


class OnTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Refuses texts that have nothing to do with the job: each is compared with what its agent was told and shown.

    paths: patterns of the writes that are compared; all of them by default. min: the least similarity, from -1 to 1.
    sources: the paths of the view that a text must be about; by default it is compared with the action, instructions
    and a person's answer, and with those and the whole view, and the nearer counts. words_min: shorter texts say too
    little to be compared.
    """

    paths: tuple[str, ...] = ("*",)
    min: _Cosine = 0.0
    sources: tuple[str, ...] = ()
    words_min: _Words = 20

    name: ClassVar[str] = "on_topic"
    cost: ClassVar[int] = 4

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "paths", tuple(map(parse_pattern, self.paths)))
        msgspec.structs.force_setattr(self, "sources", tuple(map(canonical, self.sources)))
        if not self.paths:
            raise TeamError("it looks at nothing", fix="leave paths out, or name some")

    @property
    def watches(self) -> tuple[str, ...]:
        """What it looks at in writes."""
        return self.paths

    @property
    def consults(self) -> tuple[str, ...]:
        """What it looks at in the view."""
        return self.sources

    def resolve(self) -> None:
        """Load the model, before the first call needs it. Raises MissingExtra."""
        embedding.load()

    def check(self, draft: Draft) -> Opinion:
        """Compare each text with the job; the score is 1, or the lowest similarity."""
        texts = [*self._texts(draft)]
        if not texts:
            return FINE
        topics = [topic for topic in map(embedding.embedded, self._topics(draft)) if topic is not None]
        lowest, findings = 1.0, []
        for path, text in texts:
            said = embedding.embedded(text)
            if said is None or not topics:
                continue
            nearest = round(max(embedding.similarity(said, topic) for topic in topics), SCORE_DIGITS)
            if nearest < self.min:
                lowest = min(lowest, max(0.0, nearest))
                findings.append(Finding(self.name, self._sentence(path, text, nearest, draft), path))
        return Opinion(lowest, tuple(findings[:FINDINGS_MAX])) if findings else FINE

    def _texts(self, draft: Draft) -> Iterator[tuple[str, str]]:
        """The texts that say enough, up to so many characters in all."""
        chosen, left = Patterns(self.paths), TEXTS_CHARS_MAX
        for path, text in (leaf for top, value in draft.writes.items() for leaf in leaves(value, top)):
            if isinstance(text, str) and chosen.cover(path):
                begins = text[: min(left, TEXT_CHARS_MAX)]
                if len(begins.split()) >= self.words_min:
                    yield path, begins
                    left -= len(begins)

    def _topics(self, draft: Draft) -> Iterator[str]:
        """What the job is about, in one or two texts."""
        view = draft.view.unread()
        if self.sources:
            yield _joined([view.get(path, ABSENT) for path in self.sources])
        else:
            told = [draft.action.replace("_", " "), draft.instructions, draft.answer]
            yield _joined(told)
            yield _joined([*told, draft.item, view.to_dict()])

    def _sentence(self, path: str, text: str, nearest: float, draft: Draft) -> str:
        about = f"what stands at {', '.join(self.sources)}" if self.sources else f"the job, {draft.action}"
        begins = cut_short(" ".join(text.split()), EXCERPT_CHARS_MAX)
        message = f'{path} ("{begins}") has nothing to do with {about}: write about that'
        return f"{message} (similarity {nearest:.2f}; {self.min:g} is needed)"


def _joined(values: list[Any]) -> str:
    """The texts in these values, as far as they are compared."""
    parts: list[str] = []
    left = SHOWN_CHARS_MAX
    for value in values:
        for _, leaf in leaves(value, ""):
            if isinstance(leaf, str):
                parts.append(leaf[:left])
                left -= len(parts[-1]) + 1
            if left <= 0:
                return " ".join(parts)
    return " ".join(parts)
