"""The bank: every version of one run's context, and the views cut from it.

The tree is kept as its leaves: lists, scalars, `{}`, and whole fields with a reducer. Each leaf is a chain of versions.
A view is a bitset of plan numbers: of each chain it shows the last version written by an ancestor of the step that
looks, however many concurrent steps have written meanwhile. The race proof orders all writers of a field, so a chain
only grows at its end; `commit` asserts it, which is the race check at run time. Contributions to a field with a
reducer may come in any order; they are folded in plan order.

Hashes: what a view shows is a set of (path, value), hashed as the sum of the digests of its members modulo 2**256. A
commit changes the sum by a delta, so the hash of a view is that of its nearest ancestor's plus the deltas in between.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.errors import BrokenPromise, PathError

from . import paths
from .events import Finding
from .plan import Plan
from .reducers import REDUCERS
from .scope import ReducerKind, Sight
from .step import Step
from .values import ABSENT, DEFAULT_LIMITS, DIGEST_BYTES, Limits, at, content_hash, decode, encode_written, leaf_digest

_MODULUS = 1 << 8 * DIGEST_BYTES
_ORDER_SHIFT = 20
SMALL_COMMIT_BYTES = 2_048
# From more steps than these a sum is added up in one go.
FEW = 8
_branches = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NO_LEAVES: Mapping[str, None] = {}


class Version(msgspec.Struct, frozen=True, gc=False):
    """One write of one leaf. raw is None where the leaf was removed."""

    label: int
    order: int
    writer: int
    raw: bytes | None
    digest: int


class Change(msgspec.Struct, frozen=True):
    """A leaf that differs between two versions of a context; None where it is absent."""

    path: str
    before: bytes | None
    after: bytes | None


class Origin(msgspec.Struct, frozen=True):
    """Who wrote a leaf (0 is the request, otherwise a step's number), and which paths it had read."""

    path: str
    writer: int
    reads: tuple[str, ...]


class Bank:
    """All versions of one run's context. Writers bear a number of their own and a label, their number in the plan."""

    def __init__(
        self, plan: Plan, reducers: Mapping[str, ReducerKind] | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._plan, self._limits = plan, limits
        self._reducers = reducers or {}
        self._chains: dict[str, list[Version]] = {}
        self._below: dict[str, dict[str, None]] = {}
        self._deltas: list[list[tuple[str, int]]] = [[] for _ in plan.steps]
        self._sums: dict[Sight, dict[int, int]] = {}
        self._totals: dict[Sight, _Totals] = {}
        self._reads: dict[int, tuple[str, ...]] = {}
        self._bytes = 0

    def follow(self, plan: Plan) -> None:
        """Go on under a plan that has grown."""
        self._plan = plan
        self._deltas += [[] for _ in range(len(plan.steps) - len(self._deltas))]

    # --- writing ---

    def findings(self, writes: Mapping[str, bytes], deletes: Iterable[str] = ()) -> list[Finding]:
        """Why this commit can't be taken as it is; empty when it can."""
        found: list[Finding] = []
        added = 0
        for path, raw in writes.items():
            added += len(raw)
            if self._reducers:
                found += self._reducer_findings(path, raw)
            value = self._value_above(path)
            if value:
                message = f"{path} can't be written: {value} holds a value that is not an object"
                found.append(Finding("not_an_object", message, path))
        for path in deletes:
            if self._reducers and self._near_reducer(path):
                found.append(Finding("reducer", f"{path} can't be deleted: it belongs to a field with a reducer", path))
        limits = self._limits
        if self._bytes + added > limits.context_bytes_max:
            found.append(Finding("size", f"the context would grow past {limits.context_bytes_max:,} bytes"))
        # Small commits needn't be cut up to know that their fields are few and their paths short.
        if added > min(SMALL_COMMIT_BYTES, limits.commit_fields_max) and not self._fits_as_fields(writes):
            most = f"{limits.commit_fields_max:,} fields or {2 * limits.commit_bytes_max:,} characters of paths"
            found.append(Finding("size", f"the writes hold more than {most}"))
        return found

    def _fits_as_fields(self, writes: Mapping[str, bytes]) -> bool:
        """Whether the leaves are few enough, and their paths, which repeat every key above them, short enough."""
        fields_left, chars_left = self._limits.commit_fields_max, 2 * self._limits.commit_bytes_max
        for path, raw in writes.items():
            for leaf, _ in self._leaves(path, bytes(raw)):
                fields_left -= 1
                chars_left -= len(leaf)
                if fields_left < 0 or chars_left < 0:
                    return False
        return True

    def _value_above(self, path: str) -> str:
        """The path above this one at which a scalar or a list stands, so that nothing can be below it; '' if none."""
        for prefix in paths.prefixes(path):
            chain = self._chains.get(prefix)
            if chain is not None and chain[-1].raw not in {None, b"{}"} and prefix not in self._reducers:
                return prefix
        return ""

    def _near_reducer(self, path: str) -> bool:
        return any(paths.inside(path, field) or paths.inside(field, path) for field in self._reducers)

    def _reducer_findings(self, path: str, raw: bytes) -> Iterator[Finding]:
        kind = self._reducers.get(path)
        if kind is not None:
            contributions = [version.raw for version in self._chains.get(path, ()) if version.raw is not None]
            problem = REDUCERS[kind].problem(decode(raw), map(decode, contributions))
            if problem:
                yield Finding("reducer", f"{path} ({kind}): {problem}", path)
        elif self._near_reducer(path):
            field = next(f for f in self._reducers if paths.inside(path, f) or paths.inside(f, path))
            yield Finding("reducer", f"{path} can't be written: write {field} itself, which is merged as a whole", path)

    def commit(
        self,
        label: int,
        writes: Mapping[str, Any],
        deletes: Sequence[str] = (),
        *,
        writer: int | None = None,
        index: int = 0,
        reads: tuple[str, ...] = (),
    ) -> None:
        """Take the writes of one step. index: its place among the items of a for_each."""
        writer = label if writer is None else writer
        order = (label << _ORDER_SHIFT | index) << _ORDER_SHIFT
        if reads:
            self._reads[writer] = reads
        for totals in self._totals.values():
            totals.pop(label, None)
        for path in deletes:
            for leaf in (path, *self._below.get(path, ())):
                if self._present(leaf):
                    self._put(leaf, label, order, writer, None)
                    order += 1
        for path, value in writes.items():
            raw = bytes(value)
            if raw[0] == _BRACE or path in self._below or path in self._reducers:
                order = self._commit_tree(path, raw, label, order, writer)
            else:
                self._put(path, label, order, writer, raw)
                order += 1

    def commit_request(self, request: Any) -> None:
        """Take the initial context, a JSON object: every view shows it."""
        self.commit(0, {paths.segment(key): raw for key, raw in _branches(request).items()})

    def _commit_tree(self, path: str, raw: bytes, label: int, order: int, writer: int) -> int:
        fresh = dict(self._leaves(path, raw))
        if path not in self._reducers:
            for old in (path, *self._below.get(path, ())):
                if old not in fresh and self._present(old):
                    self._put(old, label, order, writer, None)
        for leaf, value in fresh.items():
            self._put(leaf, label, order, writer, value)
            order += 1
        return order

    def _leaves(self, path: str, raw: bytes) -> Iterator[tuple[str, bytes]]:
        if raw[0] != _BRACE or raw == b"{}" or path in self._reducers:
            yield path, raw
            return
        for key, inner in _branches(raw).items():
            yield from self._leaves(f"{path}.{paths.segment(key)}", bytes(inner))

    def _present(self, path: str) -> bool:
        chain = self._chains.get(path)
        return chain is not None and chain[-1].raw is not None

    def _put(self, path: str, label: int, order: int, writer: int, raw: bytes | None) -> None:
        chain = self._chains.get(path)
        if chain is None:
            chain = self._chains[path] = []
            for prefix in paths.prefixes(path):
                self._below.setdefault(prefix, {})[path] = None
        value_digest = 0
        if path in self._reducers:
            assert raw is not None
            value_digest = leaf_digest(path, raw, order)
            delta = value_digest
        else:
            before = 0
            if chain:
                last = chain[-1]
                if not self._plan.ancestors[label] >> last.label & 1:
                    raise BrokenPromise(f"two unordered steps have written {path}")
                before = last.digest
                self._bytes -= len(last.raw or b"")
            if raw is not None:
                value_digest = leaf_digest(path, raw)
            delta = value_digest - before
        self._bytes += len(raw or b"")
        chain.append(Version(label, order, writer, raw, value_digest))
        self._deltas[label].append((path, delta))

    # --- reading ---

    def view(self, label: int, sight: Sight) -> "View":
        """What the step with this label may see. Costs nothing until it is read."""
        return View(self, self._plan.ancestors[label], sight)

    def whole(self, sight: Sight) -> "View":
        """Everything committed so far, cut to a sight."""
        return View(self, -1, sight)

    def value(self, path: str, visible: int) -> Any:
        """The value at a canonical path as the runtime itself sees it, past any scope; raises KeyError."""
        return View(self, visible, EVERYTHING)[path]

    def shown(self, path: str, visible: int) -> Version | None:
        """The version of a leaf that a view with these ancestors shows; for a field with a reducer, their fold."""
        chain = self._chains.get(path)
        if chain is None:
            return None
        if path in self._reducers:
            return self._folded(path, chain, visible)
        for version in reversed(chain):
            if visible >> version.label & 1:
                return version if version.raw is not None else None
        return None

    def _folded(self, path: str, chain: list[Version], visible: int) -> Version | None:
        seen = sorted((v for v in chain if visible >> v.label & 1), key=lambda v: v.order)
        if not seen:
            return None
        initial = decode(seen[0].raw) if seen[0].label == 0 else ABSENT
        given = [decode(v.raw) for v in seen if v.label]
        reducer = REDUCERS[self._reducers[path]]
        folded = reducer.fold(reducer.empty() if initial is ABSENT else initial, given)
        return msgspec.structs.replace(seen[0], raw=encode_written(folded))

    def leaves_below(self, path: str) -> Iterable[str]:
        """The paths of all leaves ever written strictly below a path; below the empty path, all there are."""
        return self._below.get(path, _NO_LEAVES) if path else self._chains

    def field_above(self, path: str) -> str | None:
        """The field with a reducer that a path lies strictly inside of."""
        return next((f for f in paths.prefixes(path) if f in self._reducers), None) if self._reducers else None

    def view_hash(self, label: int, sight: Sight) -> str:
        """The hash of exactly what the step with this label may see through this sight."""
        total = self._narrow_sum(label, sight) if sight.narrowed else self._sum(label, sight)
        return content_hash(sight.key + total.to_bytes(DIGEST_BYTES, "big"))

    def _sum(self, label: int, sight: Sight) -> int:
        sums = self._sums.get(sight)
        if sums is None:
            sums = self._sums[sight] = {0: 0}
        pending, n = [], label
        while n not in sums:
            pending.append(n)
            n = self._plan.base[n]
        total, can_read = sums[n], sight.can_read
        for n in reversed(pending):
            beyond = self._plan.beyond_base(n)
            if len(beyond) > FEW:
                if sight not in self._totals:
                    self._totals[sight] = _Totals(self._deltas, sight)
                total += sum(map(self._totals[sight].__getitem__, beyond))
            else:
                for ancestor in beyond:
                    for path, delta in self._deltas[ancestor]:
                        if can_read(path):
                            total += delta
            sums[n] = total = total % _MODULUS
        return total

    def _narrow_sum(self, label: int, sight: Sight) -> int:
        """A sight that belongs to one step has no ancestor's sum to start from: add up what it shows."""
        visible = self._plan.ancestors[label]
        total = 0
        for leaf in self._leaves_of(sight):
            if leaf in self._reducers:
                total += sum(v.digest for v in self._chains[leaf] if visible >> v.label & 1)
            else:
                version = self.shown(leaf, visible)
                total += version.digest if version is not None else 0
        return total % _MODULUS

    def _leaves_of(self, sight: Sight) -> Iterable[str]:
        found: dict[str, None] = {}
        for root in map(paths.base, sight.patterns):
            for leaf in (root, *self.leaves_below(root)):
                if leaf in self._chains and sight.can_read(leaf):
                    found[leaf] = None
        return found

    # --- history ---

    def diff(self, before: int, after: int) -> list[Change]:
        """What differs between two versions, each given as a bitset of the steps it includes; by path."""
        changes = []
        for path in sorted(self._chains):
            old, new = self.shown(path, before), self.shown(path, after)
            old_raw, new_raw = None if old is None else old.raw, None if new is None else new.raw
            if old_raw != new_raw:
                changes.append(Change(path, old_raw, new_raw))
        return changes

    def lineage(self, path: str, visible: int = -1) -> list[Origin]:
        """Who wrote what stands at a path and below it, from which reads, and so on back to the request."""
        origins: list[Origin] = []
        known: set[tuple[str, int]] = set()
        open_questions = [(paths.canonical(path), visible)]
        while open_questions:
            wanted, mask = open_questions.pop(0)
            for leaf, version in self._versions_under(wanted, mask):
                if (leaf, version.writer) not in known:
                    known.add((leaf, version.writer))
                    reads = self._reads.get(version.writer, ())
                    origins.append(Origin(leaf, version.writer, reads))
                    open_questions += [(read, self._plan.ancestors[version.label]) for read in reads]
        return origins

    def _versions_under(self, path: str, visible: int) -> Iterator[tuple[str, Version]]:
        if path == "*":
            path = ""
        path = self.field_above(path) or path if path else path
        for leaf in (path, *self.leaves_below(path)):
            if leaf in self._reducers:
                yield from ((leaf, v) for v in self._chains.get(leaf, ()) if visible >> v.label & 1)
            else:
                version = self.shown(leaf, visible)
                if version is not None:
                    yield leaf, version


class _Totals(dict[int, int]):
    """By how much each step has changed the sum of a sight, where that is asked for again and again."""

    def __init__(self, deltas: Sequence[Sequence[tuple[str, int]]], sight: Sight) -> None:
        super().__init__()
        self._deltas, self._can_read = deltas, sight.can_read

    def __missing__(self, label: int) -> int:
        total = self[label] = sum(delta for path, delta in self._deltas[label] if self._can_read(path))
        return total


_BRACE = ord("{")
EVERYTHING = Sight(("*",))


class View(Mapping[str, Any]):
    """What one step may see: a read-only mapping of dotted paths to JSON values.

    A path to a branch gives the part of the tree below it that may be seen, as a dict. Iteration gives the paths of the
    leaves, in the order in which they were written. Each read decodes afresh, so the reader always holds its own copy.
    The reads that happen are remembered: they are the lineage of what the step writes.
    """

    __slots__ = ("_bank", "_reads", "_sight", "_visible", "coarse")

    def __init__(self, bank: Bank, visible: int, sight: Sight) -> None:
        self._bank, self._visible, self._sight = bank, visible, sight
        self._reads: dict[str, None] = {}
        self.coarse = False

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> "View":
        """A view of a plain tree, as an agent in a process of its own is handed it."""
        bank = Bank(_NO_PLAN)
        bank.commit_request(encode_written(tree))
        return bank.whole(EVERYTHING)

    @property
    def reads(self) -> tuple[str, ...]:
        """The paths that were read so far; `*` where everything was."""
        return ("*",) if self.coarse else tuple(self._reads)

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path. Raises KeyError where nothing is there, or nothing this step may read."""
        if type(path) is not str or path not in self._bank.leaves_below(""):  # leaves are known by their one spelling
            try:
                path = paths.respelled(str.__str__(path))  # of a subclass of str nothing is wanted but its text
            except (PathError, TypeError) as error:
                raise KeyError(str(error)) from None
        self._reads[path] = None
        value = self._leaf(path)
        if value is ABSENT:
            value = self._branch(path)
        if value is ABSENT:
            raise KeyError(f"{path}: nothing there that this step may read")
        return value

    def __contains__(self, path: object) -> bool:
        return self.get(path, ABSENT) is not ABSENT  # type: ignore[call-overload]

    def __iter__(self) -> Iterator[str]:
        self.coarse = True
        return (path for _, path, _ in self._shown_below(""))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"View({self.to_dict()!r})"

    def unread(self) -> "View":
        """The same view, with reads of its own: for whoever looks on without being the reader."""
        return View(self._bank, self._visible, self._sight)

    def to_dict(self) -> dict[str, Any]:
        """All that may be seen, as a nested dict of the reader's own."""
        self.coarse = True
        return self._tree("")

    def _leaf(self, path: str) -> Any:
        if self._sight.can_read(path):
            version = self._bank.shown(path, self._visible)
            if version is not None and (version.raw != b"{}" or not self._bank.leaves_below(path)):
                return decode(version.raw)
        field = self._bank.field_above(path)
        return ABSENT if field is None else self._inside(field, path)

    def _inside(self, field: str, path: str) -> Any:
        """A value inside a field with a reducer, which is stored whole."""
        return at(self._leaf(field), paths.split(path)[len(paths.split(field)) :])

    def _branch(self, path: str) -> Any:
        tree = self._tree(path)
        return tree if tree or self._leaf_is_empty_object(path) else ABSENT

    def _leaf_is_empty_object(self, path: str) -> bool:
        return self._sight.can_read(path) and self._bank.shown(path, self._visible) is not None

    def _tree(self, path: str) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        shown = self._shown_below(path)
        skip = len(paths.split(path)) if path and shown else 0
        for _, leaf, raw in shown:
            segments = paths.split(leaf)
            node = tree
            for segment in segments[skip:-1]:
                node = node.setdefault(segment, {})
            if raw != b"{}":
                node[segments[-1]] = decode(raw)
            else:
                node.setdefault(segments[-1], {})
        return tree

    def _shown_below(self, path: str) -> list[tuple[int, str, bytes]]:
        shown, can_read = [], self._sight.can_read
        for leaf in list(self._bank.leaves_below(path)):  # an agent in a thread reads while others commit
            version = self._bank.shown(leaf, self._visible) if can_read(leaf) else None
            if version is not None and version.raw is not None:
                shown.append((version.order, leaf, version.raw))
        shown.sort()
        return shown


_NO_PLAN = Plan([Step("none", "none", "none")])
