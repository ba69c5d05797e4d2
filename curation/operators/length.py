"""Bounds on length, in words, characters or tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import Policy, Ref
from curation.models.pointer import NamesModel, OutsideModel
from curation.operator import Filter
from curation.operators.by_policy import tokenizer_folder
from curation.operators.text import Of, chars, contents, words

if TYPE_CHECKING:
    import polars as pl

_UNITS = ("words", "chars", "tokens")


class Length(Filter, NamesModel):
    """Keeps what is neither too short nor too long.

    Reasons: `too_few_words`, `too_many_words`, and the same for `chars` and `tokens`.
    """

    asks_model: ClassVar[bool] = False
    op: Literal["length"] = "length"
    min_words: int | None = Field(None, ge=1)
    """Fewest words, by Unicode's rules; None: no bound, like every bound here."""
    max_words: int | None = Field(None, ge=1)
    """Most words."""
    min_chars: int | None = Field(None, ge=1)
    """Fewest characters (Unicode code points)."""
    max_chars: int | None = Field(None, ge=1)
    """Most characters."""
    min_tokens: int | None = Field(None, ge=1)
    """Fewest tokens of the texts alone, without what a chat template puts around them. Needs a tokenizer: `policy` or
    `model_name_or_path`."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens."""
    policy: Ref[Policy] | None = None
    """Counts tokens with the tokenizer of this step's model (`base` is one)."""
    model_name_or_path: OutsideModel | None = None
    """Counts tokens with the tokenizer of a model that no step makes."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    of: Of | None = None
    """`chat` measures all messages together, `last` the last one. None: the answer alone where `on` names one
    (`chosen`, `rejected`, `reply`), else the whole chat."""

    _tokenizer: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        bounds = [(getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")) for unit in _UNITS]
        if all(bound is None for pair in bounds for bound in pair):
            raise PydanticCustomError("range", "length needs a bound, such as min_words or max_chars")
        if any(low is not None and high is not None and high < low for low, high in bounds):
            raise PydanticCustomError("range", "a max_ is below its min_: nothing could stay")
        counts_tokens = bounds[-1] != (None, None)
        tokenizers = (self.policy is not None) + (self.model_name_or_path is not None)
        if counts_tokens and tokenizers != 1:
            raise PydanticCustomError(
                "range", "a bound on tokens needs one tokenizer: `policy: STEP` or `model_name_or_path: MODEL`"
            )
        if tokenizers and not counts_tokens:
            raise PydanticCustomError("range", "a tokenizer without min_tokens or max_tokens counts nothing")
        return self

    def prepare(self) -> None:
        if self._tokenizer is None and (self.policy or self.model_name_or_path):
            from curation.models.loading import load_tokenizer

            self._tokenizer = load_tokenizer(tokenizer_folder(self))

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        texts = contents(self.of or ("last" if self.on in ("chosen", "rejected", "reply") else "chat"))
        measures = {"words": words, "chars": chars, "tokens": self._tokens}
        bounds = {unit: (getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")) for unit in measures}
        used = [unit for unit, pair in bounds.items() if pair != (None, None)]
        measured = frame.select(measures[unit](texts).alias(unit) for unit in used)
        found = []
        for unit in used:
            low, high = bounds[unit]
            if low is not None:
                found.append(pl.when(pl.col(unit) < low).then(pl.lit(f"too_few_{unit}")))
            if high is not None:
                found.append(pl.when(pl.col(unit) > high).then(pl.lit(f"too_many_{unit}")))
        return measured.select(pl.coalesce(found).alias("reason"))["reason"]

    def _tokens(self, texts: pl.Expr) -> pl.Expr:
        """How many tokens a list of texts has."""
        import polars as pl

        def count(contents: pl.Series) -> pl.Series:
            self.prepare()
            ids = self._tokenizer(contents.to_list(), add_special_tokens=False)["input_ids"] if len(contents) else []
            return pl.Series([len(row) for row in ids], dtype=pl.UInt32)

        each = pl.element().map_batches(count, return_dtype=pl.UInt32, is_elementwise=True)
        return texts.list.eval(each).list.sum()
