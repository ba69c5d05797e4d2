"""A chat as tokens, with an exact mark on each token that the assistant wrote.

Training on the wrong tokens is the classic silent failure of chat tuning: on what the user said, on a role's header,
on a newline after the end token, or never on the end token, so that the model cannot stop. So a mark is either exact
or the row is refused.

Where the chat template says what is generated (`{% generation %}`), its word is taken. Where not, each assistant turn
is found by rendering the chat up to it, with the header that asks for an answer, and then with it: the difference is
the turn, provided that both renderings begin like the whole chat. Either way a turn ends with its end token, and
nothing after that (the newline that templates put between turns) is marked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from curation.errors import UserError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from curation.conversation import Message

Span = tuple[int, int]
_MARK = "3f9a2c7e"
"""Stands for what a user says where a template is taken apart."""
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


class Refused(Exception):
    """A chat that cannot be encoded; `reason` is one snake_case word.

    `template_refuses`: the template raised (it knows no such role, or wants turns to alternate).
    `mask_not_exact`: which tokens the assistant wrote cannot be told for certain.
    `control_token`: a message holds the text of a control token, and would end a turn or begin one.
    """

    def __init__(self, reason: str, why: str) -> None:
        self.reason, self.why = reason, why
        super().__init__(reason, why)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chat as the model sees it."""

    ids: list[int]
    turns: list[Span]
    """From where to where in `ids` the assistant wrote; a turn's end token is part of it."""
    exact_prompt: bool = True
    """False when the tokens before the last answer are not those that its prompt alone gives."""
    ended: bool = True
    """True when the last turn ends with an end token."""

    @property
    def mask(self) -> list[bool]:
        """True where the assistant wrote the token."""
        marked = [False] * len(self.ids)
        for start, end in self.turns:
            marked[start:end] = [True] * (end - start)
        return marked

    @property
    def prompt(self) -> int:
        """Where the last answer begins: `ids[:prompt]` is what the model sees when it is asked for that answer."""
        return self.turns[-1][0] if self.turns else len(self.ids)

    @property
    def end(self) -> int:
        """One past the last token that the assistant wrote; 0 when it wrote none."""
        return self.turns[-1][1] if self.turns else 0


class ChatTemplate:
    """Renders and encodes chats for one tokenizer.

    Args:
        tokenizer: A fast tokenizer with a chat template.
        generation_config: Of the model: it may name more end tokens than the tokenizer does.

    Raises:
        UserError: the tokenizer has no chat template, no end token, or cannot say where in the text its tokens lie.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig | None = None) -> None:
        if not tokenizer.is_fast:
            raise UserError(
                f"{type(tokenizer).__name__} does not say where its tokens lie in the text",
                hint="save the model with its fast tokenizer (tokenizer.json)",
            )
        if not tokenizer.chat_template:
            raise UserError(
                "the tokenizer has no chat template, so nobody knows how a chat is written for this model",
                hint="give one: `base: {chat_template_path: chat.jinja}`, or start from a model that was tuned to chat",
            )
        self.tokenizer = tokenizer
        self.ends = end_tokens(tokenizer, generation_config)
        if not self.ends:
            raise UserError("the tokenizer has no end token", hint="name one: `base: {eos_token: ...}`")
        self._control = [str(tokenizer.convert_ids_to_tokens(i)) for i in special_tokens(tokenizer)]
        self._end_texts = sorted({str(tokenizer.convert_ids_to_tokens(i)) for i in self.ends}, key=len, reverse=True)
        self.marked = bool(_GENERATION.search(tokenizer.get_chat_template()))

    # Text

    def text(self, messages: Sequence[Message], tools: str | None = None, *, ask: bool = False) -> str:
        """The chat as text; with `ask` it ends on the header that asks for an answer."""
        return self._render(messages, tools, ask=ask)[0]

    def before_user(self, system: str | None = None) -> tuple[str, str]:
        """(all that stands before the first words of a user, the text that ends their turn), by this template.

        Raises:
            UserError: the template writes nothing there, so that a model cannot tell that a user begins.
        """
        from curation.conversation import Message

        said = [Message("system", system)] if system else []
        text = self.text([*said, Message("user", _MARK)], ask=True)
        before, _, after = text.partition(_MARK)
        ends = after.split()
        if not before.strip() or not ends:
            raise UserError(
                "the chat template writes nothing around what a user says, so a model cannot play the user",
                hint="give the text that comes before a user's words as `pre_query`",
            )
        return before, ends[0]

    def _render(
        self, messages: Sequence[Message], tools: str | None, *, ask: bool = False, marks: bool = False
    ) -> tuple[str, list[Span]]:
        listed = _loads(tools)
        try:
            texts, spans = render_jinja_template(
                conversations=[[m.to_dict() for m in messages]],
                tools=listed,
                chat_template=self.tokenizer.get_chat_template(tools=listed),
                add_generation_prompt=ask,
                return_assistant_tokens_mask=marks,
                **self.tokenizer.special_tokens_map,
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            raise Refused("template_refuses", f"the chat template refuses this chat: {error}") from error
        return texts[0], list(spans[0]) if marks else []

    def marks(self, messages: Sequence[Message], tools: str | None = None) -> tuple[str, list[Span]]:
        """The chat as text, and from where to where in it the assistant wrote; each turn up to its end token."""
        if self.marked:
            text, spans = self._render(messages, tools, marks=True)
        else:
            text, spans = self._found(messages, tools)
        return text, [span for span in (self._to_end(text, *s) for s in spans) if span[0] < span[1]]

    def _found(self, messages: Sequence[Message], tools: str | None) -> tuple[str, list[Span]]:
        """The turns of a template that does not mark them."""
        text = self.text(messages, tools)
        spans: list[Span] = []
        for i, message in enumerate(messages):
            if message.role != "assistant":
                continue
            before = self.text(messages[:i], tools, ask=True)
            after = self.text(messages[: i + 1], tools)
            after = after[: self._last_end(after, len(before))]
            if before == self.text(messages[:i], tools):  # this template has no header that asks for an answer
                start = after.find(message.content.strip(), len(before)) if message.content.strip() else -1
                before = after[: max(start, len(before))]
            if not (after.startswith(before) and text.startswith(after)):
                raise Refused(
                    "mask_not_exact",
                    f"the chat template writes turn {i + 1} differently once more turns follow, "
                    "so which tokens the assistant wrote cannot be told",
                )
            spans.append((len(before), len(after)))
        return text, spans

    def _last_end(self, text: str, start: int) -> int:
        """One past the last end token in `text[start:]`; the end of the text, without white space, when none is
        there.
        """
        found = max((text.rfind(end, start) + len(end) for end in self._end_texts if end in text[start:]), default=0)
        return found or len(text.rstrip())

    def _to_end(self, text: str, start: int, end: int) -> Span:
        """The span, cut or stretched so that it ends with the turn's end token."""
        for token in self._end_texts:
            at = text.rfind(token, start, end)
            if at >= 0 and not text[at + len(token) : end].strip():
                return start, at + len(token)
        for token in self._end_texts:
            if text.startswith(token, end):
                return start, end + len(token)
        return start, end

    # Tokens

    def check(self, messages: Sequence[Message]) -> None:
        """Refuses a text that would end a turn or begin one.

        Raises:
            Refused: a message holds the text of a control token.
        """
        for message in messages:
            for token in self._control:
                if token in message.content:
                    raise Refused("control_token", f"the text holds the control token {token}")

    def prompt_ids(self, messages: Sequence[Message], tools: str | None = None) -> list[int]:
        """What the model sees when it is asked to answer these messages."""
        return self._ids(self.text(messages, tools, ask=True))

    def encode(
        self,
        messages: Sequence[Message],
        tools: str | None = None,
        *,
        finished: bool = True,
        piecewise: bool = False,
    ) -> Encoded:
        """The chat's tokens, and which of them the assistant wrote.

        Args:
            finished: False for a last answer that was cut off (at a length limit): it gets no end token, and all that
                a template writes after the answer is left out.
            piecewise: Encode what was given and what was written apart, whether a token lies across or not.

        Raises:
            Refused: the template refuses the chat, the marks cannot be exact, or a text holds a control token.
        """
        self.check(messages)
        text, spans = self.marks(messages, tools)
        ids, turns = self._pieces(text, spans) if piecewise else self._marked(text, spans)
        if not turns:
            return Encoded(ids, turns, ended=False)
        ended = ids[turns[-1][1] - 1] in self.ends
        if ended and not finished:
            turns = [*turns[:-1], (turns[-1][0], turns[-1][1] - 1)]
            ids, ended = ids[: turns[-1][1]], False
        asked = self.prompt_ids(messages[: _last_assistant(messages)], tools)
        return Encoded(ids, turns, ids[: turns[-1][0]] == asked, ended)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _marked(self, text: str, spans: Sequence[Span]) -> tuple[list[int], list[Span]]:
        """Tokens of a text, and the spans counted in tokens.

        A token that lies across the edge of a span belongs to neither side. Then the pieces are encoded one by one,
        which is also how the model meets them (the prompt is given, the answer is generated), if that gives the same
        text.
        """
        out = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(out["input_ids"]), out["offset_mapping"]
        turns: list[Span] = []
        at = 0
        for start, end in spans:
            while at < len(ids) and offsets[at][1] <= start:
                at += 1
            first = at
            while at < len(ids) and offsets[at][1] <= end:
                at += 1
            crossed = first < len(ids) and offsets[first][0] < start
            if crossed or (at < len(ids) and offsets[at][0] < end):
                return self._pieces(text, spans)
            turns.append((first, at))
        return ids, turns

    def _pieces(self, text: str, spans: Sequence[Span]) -> tuple[list[int], list[Span]]:
        ids: list[int] = []
        turns: list[Span] = []
        last = 0
        for start, end in spans:
            ids += self._ids(text[last:start])
            first = len(ids)
            ids += self._ids(text[start:end])
            turns.append((first, len(ids)))
            last = end
        ids += self._ids(text[last:])
        if self.tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
            raise Refused("mask_not_exact", "a token lies across the edge of the answer, and cannot be cut there")
        return ids, turns


def end_tokens(tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig | None = None) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's generation stops at."""
    more: Any = getattr(generation_config, "eos_token_id", None)
    more = [more] if isinstance(more, int) else more or []
    return frozenset(i for i in (tokenizer.eos_token_id, *more) if i is not None)


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that no text should hold: those with a name (pad, unk ...) and those that mark roles and turns."""
    marked = (i for i, token in tokenizer.added_tokens_decoder.items() if token.special)
    return list(dict.fromkeys([*tokenizer.all_special_ids, *marked]))


def separate_pad(tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> int:
    """A token to pad with that ends no answer: the padding token if it can be, else another special one.

    Sequence classifiers read the last token that is not padding: with pad = eos they would never see the end token.
    Where else in a chat the token occurs does not matter.
    """
    candidates: list[int | None] = [
        tokenizer.pad_token_id,
        tokenizer.unk_token_id,
        *special_tokens(tokenizer),
        *range(len(ends) + 1),
    ]
    return next(i for i in candidates if i is not None and i not in ends)


def _last_assistant(messages: Sequence[Message]) -> int:
    return max(i for i, m in enumerate(messages) if m.role == "assistant")


def _loads(tools: str | None) -> list[dict[str, Any]] | None:
    import json

    return json.loads(tools) if tools else None
