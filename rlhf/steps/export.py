"""`export`: a policy or a data set as a folder that works without the store, behind its gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from curation.artifact import Evaluation, Kind, Policy, Ref, Release, Rows
from rlhf.recipe.step import Done, Room, Step


class Export(Step):
    """Writes a model: adapters, merged weights, tokenizer and a card. Or a data set: a folder for `datasets` and TRL.

    With a `gate` the step runs only when that evaluation's `require` holds; otherwise the run ends with exit code 4.
    """

    inherits_policy: ClassVar[bool] = False

    step: Literal["export"] = "export"
    policy: Ref[Policy] | None = None
    """The model that is released; this or `data`."""
    data: Ref[Rows] | None = None
    """The data set that is released, or one part of it (`curated.train`): Parquet files and a card in a folder that
    `datasets.load_dataset` opens and TRL trains on as it is, with the dropped and the malformed rows beside it."""
    gate: Ref[Evaluation] | None = None
    """The evaluation whose `require` must hold; its figures go into the card."""
    merged: bool = True
    """Also write the full weights, after it was shown that they give the adapter's logits within 1e-4."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the merged weights. bfloat16 halves the size; what the rounding costs is in the metrics."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.policy is None) == (self.data is None):
            raise ValueError("`export` releases one thing: a model (`policy`) or a data set (`data`)")
        return self

    def makes(self) -> type[Kind]:
        return Release

    def run(self, room: Room) -> Done:
        if self.policy is None:
            return self._rows(room)
        from curation.models import numerics_class, set_threads
        from curation.models.saving import copy_tokenizer
        from rlhf.evaluation.ancestry import ancestors
        from rlhf.export.adapters import copy_adapters
        from rlhf.export.card import card, licenses
        from rlhf.export.merging import merge

        set_threads(room.profile.training.threads)
        policy = self.policy.folder
        behind = ancestors([self.policy.digest], room.inputs)
        base = _base_name(behind)
        adapters = copy_adapters(policy, room.out, base)
        copy_tokenizer(policy, room.out / "tokenizer")
        merged = self.merged or not adapters
        metrics: dict[str, Any] = {}
        if merged:
            with room.progress.bar("merge", total=1, unit="models") as bar:
                metrics = merge(policy, room.out / "merged", self.dtype)
                bar.advance()
        text = card(room.inputs, base, adapters, merged, name=self.policy.step, behind=behind)
        (room.out / "README.md").write_text(text, encoding="utf-8")
        if "unknown" in licenses(behind):
            room.warn("a data set behind this release has no licence in the recipe: add `license:` to its entry")
        return Done(metrics=metrics, numerics=numerics_class(self.dtype))

    def _rows(self, room: Room) -> Done:
        from rlhf.evaluation.ancestry import ancestors
        from rlhf.export import dataset
        from rlhf.export.card import licenses

        data = self.data
        if data is None:
            raise RuntimeError("there is nothing to export")
        behind = ancestors([data.digest], room.inputs)
        facts = dataset.write(room.out, data.folder, data.part, behind, data.folder.parent, data.step)
        if "unknown" in licenses(behind):
            room.warn("a data set behind this release has no licence in the recipe: add `license:` to its entry")
        return Done(metrics={"rows": facts["splits"], "dropped": facts["dropped"], "malformed": facts["malformed"]})


def _base_name(behind: Mapping[str, Mapping[str, Any]]) -> str:
    """What people call the base; empty for a model that was made from scratch."""
    from rlhf.export.card import base_name

    for manifest in behind.values():
        if manifest["step"] == "base":
            return base_name(manifest["sources"].get("model_name_or_path", ""))
    return ""
