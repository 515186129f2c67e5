"""What does a customer want? Rules over words, and no model: the pure heart of the support desk's triage.

    message -> words -> ideas -> scores -> verdict

`vocabulary.yaml` says which phrases express which idea: "hasn't come yet" expresses `not_arrived`. `intents.yaml` says
how strongly each idea speaks for each of 77 intents. This module only turns the crank: it finds the ideas of a message,
adds up their weights, and says how far the best intent is ahead of the second.

Both tables are turned round once, at import: words lead to ideas through a tree of dictionaries, ideas lead to intents
through an index. So a message is read once, from left to right, and only the intents that it hints at cost anything.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

Priority = Literal["low", "normal", "high"]
Tree = dict[str, Any]  # word -> Tree; END -> the ideas of the phrase that ends here

UNRECOGNISED = "unrecognised"
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # where it is written in C, ten times as fast
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[£$€]")
END = ""

MESSAGE_CHARS_MAX = 2_000
PHRASE_WORDS_MAX = 12  # with the fillers in between
WORDS_CACHED_MAX = 8_192
STEM_CHARS_MIN = 3
SCORE_MIN = 5  # a lower score rests on one vague word
DANGER_CONFIDENCE_MIN = 0.6  # a lower one can't tell a theft from something harmless


class Verdict(NamedTuple):
    """The intent that the rules believe in, how sure they are (0 to 1), and the next best.

    doubt: why a person should look at the message, in a sentence; empty if nobody needs to.
    """

    category: str
    confidence: float
    runner_up: str
    doubt: str = ""


def classify(message: str) -> Verdict:
    """The verdict on a message, whatever it is: `unrecognised` if it says nothing."""
    scores = scores_of(ideas_of(message))
    first, second, *_ = sorted(range(len(INTENTS)), key=scores.__getitem__, reverse=True)
    category, score = named(first, scores)
    runner_up, next_score = named(second, scores)
    confidence = confidence_of(score - next_score) if score else 0.0
    return Verdict(category, confidence, runner_up, doubt_about(category, runner_up, score, confidence))


def named(intent: int, scores: list[int]) -> tuple[str, int]:
    """The name of an intent and its score; what nothing speaks for has neither."""
    return (INTENTS[intent], scores[intent]) if scores[intent] > 0 else (UNRECOGNISED, 0)


def confidence_of(lead: int) -> float:
    """One half between two equals; each point that one is ahead takes away 30% of the doubt that is left."""
    return 1 - 0.5 * 0.7**lead


def doubt_about(category: str, runner_up: str, score: int, confidence: float) -> str:
    """Why the rules alone should not decide, or nothing."""
    if category == UNRECOGNISED:
        return "Nothing in it was recognised."
    if score < SCORE_MIN:
        return "It gives no more than a vague hint."
    if confidence < DANGER_CONFIDENCE_MIN and (category in DANGEROUS) != (runner_up in DANGEROUS):
        return "It may be about theft or fraud, or about something harmless."
    return ""


def priority_of(category: str) -> Priority:
    """How soon an answer is needed."""
    return PRIORITIES.get(category, "normal")


# --- message -> words --------------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """The words of a text in their plain form."""
    tokens = WORD.findall(text[:MESSAGE_CHARS_MAX].lower().replace("’", "'"))
    return [word for token in tokens for word in plain(token)]


@lru_cache(WORDS_CACHED_MAX)
def plain(token: str) -> tuple[str, ...]:
    """`withdrew` -> `withdraw`; `cards` -> `card`; `can't` -> `barred`, `not`."""
    return tuple(stem(word) for word in READINGS.get(token, token.partition("'")[0]).split())


def stem(word: str) -> str:
    """A word without its English endings, roughly: all that matters is that its forms end up alike."""
    if word in UNSTEMMED:
        return word
    if word.endswith("ies"):
        return word.removesuffix("ies") + "y"
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= STEM_CHARS_MIN:
            word = word.removesuffix(ending)
            break
    if len(word) > STEM_CHARS_MIN:
        word = word.removesuffix("e")
    return word[:-1] if len(word) > STEM_CHARS_MIN and word[-1] == word[-2] else word


# --- words -> ideas ----------------------------------------------------------------------------------------------


def ideas_of(message: str) -> set[str]:
    """The ideas a message expresses. Of the phrases that begin at a word the longest counts, and uses up its words."""
    words, ideas, start = words_of(message), set[str](), 0
    while start < len(words):
        found, start = longest_phrase(words, start)
        ideas.update(found)
    return ideas


def longest_phrase(words: list[str], start: int) -> tuple[tuple[str, ...], int]:
    """The ideas of the longest phrase that begins at `start`, and where to read on."""
    node, after = PHRASES.get(words[start]), start + 1
    if node is None:
        return (), after
    found = node.get(END, ())
    for position in range(after, min(start + PHRASE_WORDS_MAX, len(words))):
        word = words[position]
        if word in node:
            node = node[word]
            if END in node:
                found, after = node[END], position + 1
        elif word not in FILLERS:
            break
    return found, after


# --- ideas -> scores ---------------------------------------------------------------------------------------------


def scores_of(ideas: set[str]) -> list[int]:
    """The score of every intent, in the order of INTENTS."""
    scores = [0] * len(INTENTS)
    for idea in ideas:
        for companion, intent, weight in CLUES.get(idea, ()):
            if companion is None or companion in ideas:
                scores[intent] += weight
    return scores


# --- the tables, turned round ------------------------------------------------------------------------------------


def read_table(name: str) -> dict[str, Any]:
    """One of the YAML files beside this module."""
    return yaml.load(Path(__file__).with_name(name).read_text(encoding="utf-8"), SAFE_LOADER)  # noqa: S506 - it is safe


def spelled_out(phrases: str) -> Iterator[str]:
    """`not come/arrive, missing` -> `not come`, `not arrive`, `missing`."""
    for phrase in phrases.split(","):
        yield from map(" ".join, product(*(word.split("/") for word in phrase.split())))


def phrase_tree(ideas: Mapping[str, str], includes: Mapping[str, str]) -> Tree:
    """Every phrase as a path of words; at its end stand the ideas it expresses."""
    tree: Tree = {}
    for idea, phrases in ideas.items():
        for phrase in spelled_out(phrases):
            node = tree
            for word in words_of(phrase):
                node = node.setdefault(word, {})
            node[END] = (*node.get(END, ()), idea, *includes.get(idea, "").split())
    return tree


def weights_of_intents(desks: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """What speaks for and against each intent: the clues of its desk and its own, added up."""
    intents: dict[str, dict[str, int]] = {}
    for desk in desks.values():
        shared = desk.get("clues", {})
        for intent, own in desk["intents"].items():
            intents[intent] = {clue: shared.get(clue, 0) + own.get(clue, 0) for clue in shared | own}
    return intents


def index_of_clues(intents: Mapping[str, Mapping[str, int]]) -> dict[str, list[tuple[str | None, int, int]]]:
    """For each idea: the idea that must come with it, if any; the number of the intent; the weight."""
    index: dict[str, list[tuple[str | None, int, int]]] = {}
    for number, weights in enumerate(intents.values()):
        for clue, weight in weights.items():
            idea, _, companion = clue.partition(" + ")
            index.setdefault(idea, []).append((companion or None, number, weight))
    return index


_VOCABULARY, _RULES = read_table("vocabulary.yaml"), read_table("intents.yaml")

READINGS: Mapping[str, str] = {
    token: reading for reading, tokens in _VOCABULARY["readings"].items() for token in tokens.split()
}
UNSTEMMED = frozenset(_VOCABULARY["unstemmed"].split())
FILLERS = frozenset(words_of(_VOCABULARY["fillers"]))
IDEAS: Mapping[str, str] = _VOCABULARY["ideas"]
PHRASES = phrase_tree(IDEAS, _VOCABULARY["includes"])

WEIGHTS = weights_of_intents(_RULES["desks"])
INTENTS = tuple(WEIGHTS)
CLUES = index_of_clues(WEIGHTS)
DANGEROUS = frozenset(_RULES["dangerous"])
PRIORITIES: Mapping[str, Priority] = {
    intent: priority for priority, intents in _RULES["priorities"].items() for intent in intents
}
