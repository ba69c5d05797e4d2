"""Steps with the edges of the real ones and no behaviour, for the tests of the loader."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from curation.artifact import (
    KINDS,
    Bound,
    Candidates,
    Conversations,
    Evaluation,
    InputFile,
    Kind,
    Policy,
    Preferences,
    Ref,
    Release,
    RewardModel,
    Rows,
    Surroundings,
)
from curation.operator import OPERATOR_FIELD, SCORER_FIELD, Operator, Scorer, Settings
from curation.settings import ONE_OR_MORE
from rlhf.recipe.step import Step


class Entry(Settings):
    path: InputFile
    """File, or name on the Hub."""
    format: Literal["sharegpt", "messages"] = "messages"
    weight: float = Field(1.0, gt=0)

    def bind_pointer(self, name: str, pointer: Bound, around: Surroundings) -> Bound:
        if "/" in pointer.written and not (around.here / pointer.written).exists():
            return pointer.bound(around.here, "hub")
        path = around.locate(pointer.written)
        return pointer.bound(path, around.hash_file(path))


class Ingest(Step):
    step: Literal["ingest"] = "ingest"
    makes_: Literal["conversations", "preferences"] = Field("conversations", alias="makes")
    datasets: list[Entry]
    """Where the records come from."""

    def makes(self) -> type[Kind]:
        return KINDS[self.makes_]


class Curate(Step):
    like = "data"
    step: Literal["curate"] = "curate"
    data: Annotated[list[Ref[Rows]], ONE_OR_MORE]
    """What to curate."""
    operators: list[Annotated[Operator, OPERATOR_FIELD]] = Field(default_factory=list)


class Base(Step):
    step: Literal["base"] = "base"
    model_name_or_path: InputFile
    model_revision: str | None = None
    chat_template_path: InputFile | None = None

    def makes(self) -> type[Kind]:
        return Policy

    def bind_pointer(self, name: str, pointer: Bound, around: Surroundings) -> Bound:
        if name == "chat_template_path":
            return pointer.bound(around.locate(pointer.written), "template")
        return pointer.bound(around.here, "hub")


class Trains(Step):
    policy: Ref[Policy] | None = None
    seed: int = 42
    learning_rate: float = Field(1e-4, gt=0)
    """Peak learning rate."""
    global_batch_size: int = Field(8, ge=1)
    """Rows of one optimizer step."""
    num_train_epochs: float = 1
    max_length: int | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    tune: Literal["lora", "full"] = "lora"
    lora_r: int = 8

    def makes(self) -> type[Kind]:
        return Policy

    def advice(self) -> list[str]:
        return ["that is a long way to learn"] if self.num_train_epochs > 50 else []


class Sft(Trains):
    step: Literal["sft"] = "sft"
    data: Annotated[list[Ref[Conversations]], ONE_OR_MORE]


class Dpo(Trains):
    step: Literal["dpo"] = "dpo"
    data: Annotated[list[Ref[Preferences]], ONE_OR_MORE]


class Reward(Trains):
    step: Literal["reward"] = "reward"
    data: Annotated[list[Ref[Preferences]], ONE_OR_MORE]

    def makes(self) -> type[Kind]:
        return RewardModel


class Sample(Step):
    step: Literal["sample"] = "sample"
    prompts: Ref[Conversations]
    policy: Ref[Policy] | None = None
    policies: list[Ref[Policy]] = Field(default_factory=list)
    seed: int = 42

    def makes(self) -> type[Kind]:
        return Candidates


class Compare(Step):
    step: Literal["compare"] = "compare"
    data: Ref[Candidates]
    guidelines: InputFile | None = None

    def makes(self) -> type[Kind]:
        return Preferences


class RewardScorer(Scorer):
    op: Literal["reward_model"] = "reward_model"
    reward: Ref[RewardModel]


class Turns(Operator):
    op: Literal["turns"] = "turns"
    min: int = Field(1, ge=1)
    """Fewest turns."""
    max: int | None = None


class Words(Scorer):
    op: Literal["words"] = "words"


class Evaluate(Step):
    step: Literal["evaluate"] = "evaluate"
    policies: Annotated[list[Ref[Policy]], ONE_OR_MORE]
    prompts: Ref[Conversations]
    judges: list[Annotated[Scorer, SCORER_FIELD]] = Field(default_factory=list)

    def makes(self) -> type[Kind]:
        return Evaluation


class Export(Step):
    step: Literal["export"] = "export"
    policy: Ref[Policy]
    gate: Ref[Evaluation] | None = None

    def makes(self) -> type[Kind]:
        return Release


STEPS: dict[str, str] = {
    cls.__name__.lower(): f"{__name__}:{cls.__name__}"
    for cls in (Base, Ingest, Curate, Sft, Dpo, Reward, Sample, Compare, Evaluate, Export)
}
OPERATORS: dict[str, str] = {
    "turns": f"{__name__}:Turns",
    "words": f"{__name__}:Words",
    "reward_model": f"{__name__}:RewardScorer",
}
