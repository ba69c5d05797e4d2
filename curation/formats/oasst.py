"""OpenAssistant's message trees: threads to imitate, or ranked siblings to prefer.

A prompt has several answers, each answer several replies, and so on. Two files hold the same trees: **flat**, one
message a record with `parent_id` (Parquet on the Hub), and **nested**, one tree a record with `replies`. As
conversations a tree gives every thread from its prompt to a leaf. As preferences it gives, for every message with k
ranked answers, k(k-1)/2 pairs: the better ranked one chosen (rank 0 is the best), the same rank a tie.

What is left out takes the branch below it along, because a thread with a hole is no conversation. Every row carries its
`tree` and the tree's `lang` in `meta`: split by `tree`, and no part of a tree is in two splits.

Köpf et al. 2023, "OpenAssistant Conversations", https://arxiv.org/abs/2304.07327.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar, Literal

from pydantic import Field

from curation.conversation import AnyRow, Conversation, Message, Preference
from curation.formats.fields import ROLES, Refused, absent, clean, plain, text
from curation.formats.format import Format, Lost, Makes, Outcome

_OWN = frozenset(
    "message_id parent_id message_tree_id text role lang rank deleted review_result synthetic labels prompt".split()
)


@dataclass(slots=True)
class Node:
    """A message in its tree."""

    index: int
    """Of the record that it came from."""
    record: Mapping[str, Any]
    id: str
    parent: str | None
    tree: str
    message: Message | None = None
    rank: float | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    """Why it is left out; None: it is kept, as far as it goes by itself."""
    cut: bool = False
    """Something above it is left out."""
    replies: list[Node] = field(default_factory=list)

    @property
    def kept(self) -> list[Node]:
        return [reply for reply in self.replies if reply.reason is None]


class OASST(Format):
    """Trees of messages, flat or nested. The settings say which messages stay out, with all that is below them."""

    makes: ClassVar[frozenset[Makes]] = frozenset({"conversations", "preferences"})
    reads: ClassVar[frozenset[str]] = _OWN
    telling: ClassVar[frozenset[str]] = frozenset({"message_id", "parent_id", "message_tree_id"})
    whole: ClassVar[bool] = True
    decided_by: ClassVar[str] = "people"

    op: Literal["oasst"] = "oasst"
    deleted: bool = False
    """Keep messages that were deleted."""
    unreviewed: bool = False
    """Keep messages that reviewers rejected or have not seen (`review_result` false or null)."""
    synthetic: bool = True
    """Keep messages that a model wrote."""
    max_spam: float | None = Field(0.5, ge=0, le=1)
    """Leave out messages whose average spam label is above this. None: no bound. Messages without labels stay."""
    min_quality: float | None = Field(None, ge=0, le=1)
    """Leave out messages whose average quality label is below this. None: no bound. Messages without labels stay."""
    top_k: int | None = Field(None, ge=1)
    """Threads only through answers with one of the best k ranks; an answer without a rank counts only where it is the
    only one. Pairs are not affected. None: through all."""
    last: Literal["any", "assistant"] = "any"
    """`assistant` leaves out replies of users that nobody answered, so that threads end on an answer."""

    @classmethod
    def evidence(cls, record: Mapping[str, Any]) -> str:
        if _is_nested(record):
            return "`prompt` is a message with a `message_id`"
        flat = {"message_id", "parent_id", "text", "role"} <= record.keys()
        return "`message_id`, `parent_id`, `text` and `role`" if flat else ""

    def rows(self, record: Any, makes: Makes = "conversations") -> Sequence[AnyRow] | str:
        """The rows of a nested tree (or of a flat message that stands alone), or the reason why there are none."""
        rows: list[AnyRow] = []
        reason = "no_row"
        for outcome in self.outcomes([(0, record)], makes):
            rows += [row for _, row in outcome.rows]
            reason = outcome.lost[0].reason if outcome.lost else reason
        return rows or reason

    def outcomes(
        self, records: Iterable[tuple[int, Any]], makes: Makes, carry: Sequence[str] = ()
    ) -> Iterator[Outcome]:
        """Nested trees one by one; flat messages once all of a file are there."""
        carry = [name for name in carry if name not in self.reads]
        flat: list[Node] = []
        seen: set[str] = set()
        for index, record in records:
            try:
                if _is_nested(record):
                    yield self._nested(index, record, makes, carry)
                    continue
                node = self._node(index, record, carry)
            except Refused as refused:
                yield Outcome(lost=(Lost(index, refused.reason, record),))
                continue
            if node.id in seen:
                yield Outcome(lost=(Lost(index, "duplicate_id", record),))
            else:
                seen.add(node.id)
                flat.append(node)
        yield from self._flat(flat, makes)

    # From records to nodes

    def _node(self, index: int, record: Any, carry: Sequence[str], tree: str | None = None) -> Node:
        """One message, judged by itself. `tree` is given where the message does not say it.

        Raises:
            Refused: it has no id, so it cannot be placed.
        """
        if not isinstance(record, Mapping):
            raise Refused("not_an_object")
        own, above, of = record.get("message_id"), record.get("parent_id"), record.get("message_tree_id")
        if not isinstance(own, str) or not own:
            raise Refused("no_message_id")
        if not (absent(above) or isinstance(above, str)):
            raise Refused("no_parent_id")
        of = tree if tree is not None else of
        node = Node(
            index, record, own, above if isinstance(above, str) else None, clean(of) if isinstance(of, str) else ""
        )
        try:
            node.message, node.reason = self._message(record), self._reason(record)
            node.carried = {name: plain(record[name]) for name in carry if not absent(record.get(name))}
        except Refused as refused:
            node.reason = refused.reason
        rank = record.get("rank")
        node.rank = float(rank) if isinstance(rank, int | float) and not absent(rank) else None
        return node

    def _message(self, record: Mapping[str, Any]) -> Message:
        role = record.get("role")
        if not isinstance(role, str) or ROLES.get(role) not in ("user", "assistant"):
            raise Refused("unknown_role" if isinstance(role, str) else "no_role")
        return Message(ROLES[role], text(record.get("text"), "no_text"))

    def _reason(self, record: Mapping[str, Any]) -> str | None:
        """Why the settings leave a message out, or None."""
        if not self.deleted and record.get("deleted") is True:
            return "deleted"
        if not self.unreviewed and record.get("review_result", True) is not True:
            return "rejected" if record["review_result"] is False else "unreviewed"
        if not self.synthetic and record.get("synthetic") is True:
            return "synthetic"
        spam, quality = _label(record, "spam"), _label(record, "quality")
        if self.max_spam is not None and spam is not None and spam > self.max_spam:
            return "spam"
        if self.min_quality is not None and quality is not None and quality < self.min_quality:
            return "low_quality"
        return None

    def _nested(self, index: int, record: Mapping[str, Any], makes: Makes, carry: Sequence[str]) -> Outcome:
        """A tree of one record. Messages in it that are in no row are counted as left out.

        Raises:
            Refused: it gives no row.
        """
        tree = record.get("message_tree_id")
        root = self._node(index, record["prompt"], carry, tree if isinstance(tree, str) else None)
        left_out, stack, seen = Counter[str](), [root], {root.id}
        while stack:
            node = stack.pop()
            replies = node.record.get("replies")
            for reply in replies if isinstance(replies, list) else []:
                try:
                    child = self._node(index, reply, carry, root.tree)
                    if child.id in seen:
                        raise Refused("duplicate_id")
                except Refused as refused:
                    left_out[refused.reason] += 1
                    continue
                seen.add(child.id)
                node.replies.append(child)
            stack += node.replies
        rows, lost = self._tree(root, makes)
        if not rows:
            raise Refused(root.reason or ("no_ranked_pair" if makes == "preferences" else "no_thread"))
        left_out.update(one.reason for one in lost)
        return Outcome(rows, used=1, left_out=left_out)

    def _flat(self, nodes: list[Node], makes: Makes) -> Iterator[Outcome]:
        by_id = {node.id: node for node in nodes}
        tops = [node for node in nodes if node.parent is None or node.parent not in by_id]
        for node in nodes:
            if node.parent is not None and node.parent in by_id:
                by_id[node.parent].replies.append(node)
        placed: set[str] = set()
        for top in tops:
            members = below(top)
            placed.update(node.id for node in members)
            if top.parent is None:
                rows, lost = self._tree(top, makes)
                yield Outcome(rows, used=len(members) - len(lost), lost=lost)
            else:
                yield Outcome(lost=[Lost(n.index, n.reason or "orphan", n.record) for n in members])
        if circling := [Lost(n.index, n.reason or "cycle", n.record) for n in nodes if n.id not in placed]:
            yield Outcome(lost=circling)

    # From trees to rows

    def _tree(self, root: Node, makes: Makes) -> tuple[list[tuple[int, AnyRow]], list[Lost]]:
        """The rows of a tree, and the messages that are in none of them."""
        members = below(root)
        if makes == "conversations":
            self._prune(members)
        for node in members:
            for reply in node.replies:
                reply.cut = node.cut or node.reason is not None
        lang = root.record.get("lang")
        meta = {"tree": root.tree or clean(root.id), **({"lang": plain(lang)} if isinstance(lang, str) else {})}
        rows: list[tuple[int, AnyRow]] = []
        used: set[str] = set()
        for path in walk(root) if root.reason is None else ():
            node = path[-1]
            said = tuple(n.message for n in path if n.message)
            if makes == "preferences":
                for better, worse in pairs(node):
                    rows.append((better.index, self._pair(said, better, worse, {**meta, **better.carried})))
                    used.update(n.id for n in (*path, better, worse))
            elif not any(reply.reason is None for reply in node.replies):
                rows.append((node.index, Conversation(messages=said, meta={**meta, **node.carried})))
                used.update(n.id for n in path)
        lost = [Lost(n.index, _why(n), n.record) for n in members if n.id not in used]
        return rows, lost

    def _prune(self, members: list[Node]) -> None:
        """Marks what `top_k` and `last` leave out of threads. Leaves come first, so that a whole tail can go."""
        for node in reversed(members):
            alone = len(node.replies) == 1
            for reply in node.replies if self.top_k is not None else ():
                worse = not alone if reply.rank is None else reply.rank >= (self.top_k or 0)
                if reply.reason is None and reply.message and reply.message.role == "assistant" and worse:
                    reply.reason = "not_top_k"
        for node in reversed(members) if self.last == "assistant" else ():
            answered = any(reply.reason is None for reply in node.replies)
            if node.reason is None and not answered and node.message and node.message.role == "user":
                node.reason = "no_reply"

    def _pair(self, said: tuple[Message, ...], better: Node, worse: Node, meta: Mapping[str, Any]) -> Preference:
        if better.message is None or worse.message is None:
            raise RuntimeError("a message without text was kept")
        return Preference(
            prompt=said,
            chosen=(better.message,),
            rejected=(worse.message,),
            verdict="tie" if better.rank == worse.rank else "chosen",
            decided_by=self.decided_by,
            meta=meta,
        )


def below(top: Node) -> list[Node]:
    """The node and all below it, each before its replies."""
    found, stack = [], [top]
    while stack:
        node = stack.pop()
        found.append(node)
        stack += reversed(node.replies)
    return found


def walk(root: Node) -> Iterator[list[Node]]:
    """The path to every message that is kept, each before its replies. The list is the same one every time."""
    path: list[Node] = []
    stack = [(0, root)]
    while stack:
        depth, node = stack.pop()
        del path[depth:]
        path.append(node)
        yield path
        stack += ((depth + 1, reply) for reply in reversed(node.replies) if reply.reason is None)


def pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """(better, worse) for every two ranked answers to a message: k(k-1)/2 of them."""
    ranked = [n for n in node.replies if n.reason is None and n.rank is not None and n.message]
    ranked = [n for n in ranked if n.message and n.message.role == "assistant"]
    yield from combinations(sorted(ranked, key=lambda n: (n.rank or 0.0, n.id)), 2)


def _why(node: Node) -> str:
    """Why a message is in no row."""
    return node.reason or ("below_left_out" if node.cut else "no_ranked_pair")


def _is_nested(record: Any) -> bool:
    return (
        isinstance(record, Mapping) and isinstance(record.get("prompt"), Mapping) and "message_id" in record["prompt"]
    )


def _label(record: Mapping[str, Any], name: str) -> float | None:
    """A label's average over those who gave it: `{"name": [...], "value": [...]}` or `{name: {"value": ...}}`."""
    labels = record.get("labels")
    if not isinstance(labels, Mapping):
        return None
    value = labels.get(name)
    names, values = labels.get("name"), labels.get("value")
    if isinstance(names, list) and isinstance(values, list) and name in names[: len(values)]:
        value = values[names.index(name)]
    elif isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, int | float) and not absent(value) else None
