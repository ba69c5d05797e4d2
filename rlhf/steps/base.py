"""`base`: the model that everything starts from, brought into the store once. A recipe writes it as `base:` at its
top.
"""

from __future__ import annotations

from typing import Literal

from curation.artifact import InputFile, Kind, Policy
from curation.models.pointer import NamesModel, OutsideModel
from curation.models.settings import DType
from rlhf.recipe.step import Done, Room, Step


class Base(NamesModel, Step):
    """A model from outside, as safetensors with its tokenizer and chat template."""

    step: Literal["base"] = "base"
    model_name_or_path: OutsideModel
    """A folder with config, safetensors and tokenizer; a .gguf file (`package:NAME/FILE.gguf` too), which is
    dequantized once; or a name on the Hub."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub (None: `main`). A full commit sha is looked up nowhere, so the recipe
    runs without a network once the model is in the Hub's cache. Folders and files are known by content instead."""
    chat_template_path: InputFile | None = None
    """A Jinja file that takes the place of the model's own chat template. `{% generation %}` in it marks what is
    learned."""
    eos_token: str | None = None
    """The token that ends an answer, where the tokenizer names none or another than the template writes."""
    pad_token: str | None = None
    """The token to pad with. None: the tokenizer's, else its end token."""
    dtype: DType = "auto"
    """What the weights are kept in. `auto`: as they come; a quantized GGUF becomes bfloat16."""
    weights: bool = True
    """False leaves the weights where they are and brings in config, tokenizer and chat template: enough to count tokens
    and to split by them, and a thousand times smaller. No step can run such a model."""
    trust_remote_code: bool = False
    """Let Python code that comes with the model run. Only for models whose code you have read."""

    def makes(self) -> type[Kind]:
        return Policy

    def run(self, room: Room) -> Done:
        from curation.models import numerics_class, set_threads
        from curation.models.bringing import bring

        set_threads(room.profile.training.threads)
        with room.progress.bar("bringing in the model", total=1, unit="models") as bar:
            metrics = bring(
                self.model_name_or_path,
                room.out,
                dtype=self.dtype,
                template=self.chat_template_path.text() if self.chat_template_path else None,
                eos_token=self.eos_token,
                pad_token=self.pad_token,
                trust_remote_code=self.trust_remote_code,
                weights=self.weights,
            )
            bar.advance()
        return Done(metrics=metrics, numerics=numerics_class(self.dtype))
