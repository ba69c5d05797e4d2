"""Writes the column `split`: which rows are trained on, and which are kept back.

Rows that belong together stay together. Two rows are tied when they share a tree (`meta["tree"]`), a parent (or one is
the parent of the other), or what `by` names; ties chain, and a chain is one group. A group's split comes from a stable
hash of its name, never from its place or from how many rows there are, so a row that is added moves no other, unless
it ties two groups together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from curation.artifact import Ref, Rows
from curation.errors import UserError
from curation.operator import Decision, Selector
from curation.operators.groups import group_names, tie_columns

if TYPE_CHECKING:
    import polars as pl

By = Literal["conversation", "tree", "source", "prompt"]
_LOOKED_UP = (("tree", ("tree",)), ("parent", ("id", "parent")), ("id", ("id", "parent")), ("prompt", ("prompt",)))
"""What of a row is looked for in which columns of another set, in this order."""
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Split(Selector):
    """Assigns each row to a part: `split: {test: 0.1}` sends about a tenth to `test` and the rest to `train`.

    Further parts are further names with a share: `split: {test: 0.3, judge: 0.25}`. With `same_as` no part is drawn:
    each row goes where that data set has its tree, its parent, itself, or its prompt (the first of these that it
    knows). Reasons, with `same_as` only: `unassigned` for a row of which it knows none, `split_conflict` for one of
    which it knows them in several parts.
    """

    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "number"}})  # `test: 0.1`

    rows: ClassVar[frozenset[str]] = frozenset({"conversations", "candidates", "preferences"})
    op: Literal["split"] = "split"
    parts: dict[str, float] = Field(default_factory=dict)
    """Part -> its share of the groups, between 0 and 1. May be written without `parts:`. What is left is `train`."""
    by: By = "conversation"
    """What ties rows besides tree and parent: nothing more (`conversation`, `tree`), the file that they came from
    (`source`), or the first question, up to case and white space (`prompt`). `tree` requires that every row has one."""
    seed: int = Field(0, ge=0)
    """Another seed assigns anew. It is this operator's own: the recipe's seed does not reach it, so that runs with
    several seeds keep the same rows back."""
    same_as: Ref[Rows] | None = None
    """A step whose data set is split already, to be split alike."""

    @model_validator(mode="before")
    @classmethod
    def _parts_by_name(cls, value: Any) -> Any:
        """`test: 0.1` means `parts: {test: 0.1}`."""
        if not isinstance(value, dict):
            return value
        named = {
            k: v
            for k, v in value.items()
            if k not in cls.model_fields and isinstance(v, int | float) and not isinstance(v, bool)
        }
        if not named or not isinstance(value.get("parts", {}), dict):
            return value
        return {**{k: v for k, v in value.items() if k not in named}, "parts": {**value.get("parts", {}), **named}}

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if (self.same_as is None) == (not self.parts):
            raise PydanticCustomError("split", "split needs parts with their shares (`test: 0.1`), or same_as")
        for name, share in self.parts.items():
            if not _NAME.match(name):
                raise PydanticCustomError("split", "{name} is no name of a part: use a-z, 0-9 and _", {"name": name})
            if not 0 < share < 1:
                raise PydanticCustomError(
                    "split", "the share of {name} must lie between 0 and 1, not {share}", {"name": name, "share": share}
                )
        total = sum(self.parts.values())
        fits = abs(total - 1) < 1e-9 if "train" in self.parts else total < 1 - 1e-9
        if not fits:
            what = "the shares add up to {total}: what is left is train, and with train they must make 1"
            raise PydanticCustomError("split", what, {"total": round(total, 6)})
        return self

    def keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        return tie_columns(frame)

    def decide(self, table: pl.DataFrame) -> Decision:
        import polars as pl

        if self.by == "tree" and table["tree"].null_count():
            lost = table.filter(pl.col("tree").is_null())["id"][0]
            hint = "split by: conversation, which keeps trees together where there are any"
            raise UserError(f"split by tree, but row {lost} has no tree", hint=hint)
        groups = group_names(table, self.by)
        return self._like(table, groups) if self.same_as else self._drawn(groups)

    def _drawn(self, groups: pl.Series) -> Decision:
        import polars as pl

        from curation.operators.draw import draw

        number = pl.col("number")
        part: Any = pl.when(pl.lit(False)).then(pl.lit(""))
        edge = 0.0
        for name in sorted(n for n in self.parts if n != "train"):
            edge += self.parts[name]
            part = part.when(number < edge).then(pl.lit(name))
        drawn = groups.to_frame("group").select(draw("split", self.seed, "group").alias("number"))
        split = drawn.select(part.otherwise(pl.lit("train")).alias("split"))["split"]
        for name in (*self.parts, "train"):
            if len(split) and name not in split:
                raise UserError(
                    f"split: none of {groups.n_unique()} groups of rows fell into {name!r}",
                    hint="raise its share, set another `seed` of split, or split by what there is more of: "
                    "`by: conversation`, `by: prompt`",
                )
        return Decision(pl.Series("reason", [None] * len(split), dtype=pl.String), {"split": split})

    def _like(self, table: pl.DataFrame, groups: pl.Series) -> Decision:
        """Takes the part of the first thing that the other set knows about a group's rows."""
        import polars as pl

        known = self._known()
        hits = pl.Series("hits", [None] * len(table), dtype=pl.List(pl.String))
        for own, theirs in _LOOKED_UP:
            pairs = pl.concat([known.select(pl.col(c).alias("name"), "split") for c in theirs]).drop_nulls()
            by_name = pairs.group_by("name").agg(pl.col("split").unique())
            found = table.select(pl.col(own).alias("name")).join(by_name, on="name", how="left", maintain_order="left")
            hits = pl.select(pl.coalesce(hits, found["split"]).alias("hits")).to_series()
        rows = pl.DataFrame({"group": groups, "hits": hits})
        by_group = rows.explode("hits").drop_nulls().group_by("group").agg(pl.col("hits").unique().alias("parts"))
        parts = pl.col("parts")
        reason: Any = pl.when(parts.is_null()).then(pl.lit("unassigned"))
        reason = reason.when(parts.list.len() > 1).then(pl.lit("split_conflict"))
        made = rows.join(by_group, on="group", how="left", maintain_order="left").select(
            reason.otherwise(pl.lit(None, dtype=pl.String)).alias("reason"), parts.list.first().alias("split")
        )
        return Decision(made["reason"], {"split": made["split"]})

    def _known(self) -> pl.DataFrame:
        """`id`, `split` and what may tie, of the other set."""
        import polars as pl

        from curation import table

        if self.same_as is None:
            raise RuntimeError("same_as is not set")
        if not table.parts(self.same_as.folder):
            hint = "give it a `split` of its own first, or name a step that has one"
            raise UserError(f"split same_as {self.same_as}: that data set is not split", hint=hint)
        frames = table.batches(self.same_as.folder, self.same_as.part)
        kept = [pl.concat([f.select("id", "split"), tie_columns(f)], how="horizontal") for f in frames]
        return pl.concat(kept).drop_nulls("split")
