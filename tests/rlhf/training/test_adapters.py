"""Adapters: exactly as many weights as the systems that are re-created had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from pydantic import ValidationError
from safetensors.torch import load_file
from small_runs import Make, Run, chat, model_ref, room, trainer_for
from transformers import LlamaConfig, LlamaForCausalLM

from curation.errors import UserError
from curation.models.generation import Request, generate
from curation.models.loading import load_policy
from curation.models.settings import Sampling
from rlhf.export.merging import merge
from rlhf.recipe.load import load
from rlhf.steps.dpo import Dpo
from rlhf.steps.sft import Sft
from rlhf.training.adapters import lora_config, trainable_parameters
from rlhf.training.running import Run as Training


@pytest.mark.parametrize(
    ("r", "layers", "weights"),
    [
        (8, ["q_proj", "v_proj"], 4_194_304),  # alpaca-lora's first adapter
        (16, ["q_proj", "k_proj", "v_proj", "o_proj"], 16_777_216),  # its official one
    ],
)
def test_alpaca_lora_s_adapters_on_7b(r: int, layers: list[str], weights: int) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())  # the defaults are those of the 7B model
    assert model.num_parameters() == 6_738_415_616
    step = Sft(data="d", lora_r=r, lora_target_modules=layers)
    adapted = get_peft_model(model, lora_config(model, step), low_cpu_mem_usage=True)
    assert trainable_parameters(adapted) == weights
    assert trainable_parameters(adapted) == 32 * len(layers) * r * (4096 + 4096)


def test_llama_adapters_size_on_7b() -> None:
    """1,229,760 weights in the original, whose gate is one a head; PEFT has one a layer (31 fewer in each of 30)."""
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())
    step: Any = load("llama-adapter").steps["sft"]
    adapted = get_peft_model(model, lora_config(model, step))
    assert trainable_parameters(adapted) == 30 * (10 * 4096 + 1) == 1_228_830
    assert trainable_parameters(adapted) + 30 * (32 - 1) == 1_229_760


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.tensor([[3, 50, 61, 72, 83, 94]])).logits


def test_a_llama_adapter_begins_as_its_base_and_opens_its_gates(
    micro_copy: Path, rows_ref: Make, run_step: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = rows_ref([chat(i, split="test" if i < 4 else "train") for i in range(28)])
    step = Sft(
        data=chats,
        policy=model_ref(micro_copy),
        peft_type="adaption_prompt",
        adapter_len=4,
        adapter_layers=2,
        learning_rate=0.05,
        num_train_epochs=4,
        global_batch_size=8,
    )
    trainer, _ = trainer_for(step, tmp_path / "caught", monkeypatch)
    base = load_policy(micro_copy, where=torch.device("cpu"))
    assert torch.equal(logits(trainer.model), logits(base.model))  # before the first step, to the last bit
    done, folder, _ = run_step(step, beside=micro_copy)
    assert done.metrics["trainable_parameters"] == 2 * (4 * 64 + 1)
    assert done.metrics["held_out_loss"] < done.metrics["held_out_loss_before"]
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(w.abs() > 1e-3 for name, w in weights.items() if "gate" in name)

    policy = load_policy(folder, where=torch.device("cpu"), merge=True)  # what is no sum stays on top
    assert (logits(policy.model) - logits(base.model)).abs().max() > 1e-2
    row = chat(1)
    asked = [Request(row.id, tuple(policy.template.prompt_ids(row.prompt)))]
    how = Sampling(temperature=0, max_completion_length=8)
    (made,) = generate(policy, asked, how)
    ids = list(asked[0].prompt)
    for _ in made.tokens:  # the same, without a cache
        with torch.no_grad():
            ids.append(int(policy.model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert tuple(ids[len(asked[0].prompt) :]) == made.tokens
    with pytest.raises(UserError, match="cannot be added to the weights"):
        merge(folder, tmp_path / "merged", "float32")
    more = step.model_copy(update={"adapter_layers": 3})
    with pytest.raises(UserError, match="the model has 2 layers"):
        more.run(room(tmp_path / "more"))


@pytest.mark.parametrize("how", ["pissa", "olora"])
def test_an_adapter_that_begins_in_the_weights_ends_as_a_plain_one(
    micro_copy: Path, rows_ref: Make, run_step: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    """Meng et al. (2404.02948): the frozen rest and the adapter give the base's outputs; the artifact stands on the
    base itself, with twice the rank."""
    step = Sft(
        data=rows_ref([chat(i) for i in range(24)]),
        policy=model_ref(micro_copy),
        init_lora_weights=how,
        lora_r=4,
        lora_alpha=4,
        learning_rate=2e-3,
        num_train_epochs=2,
        global_batch_size=8,
    )
    trainer, _ = trainer_for(step, tmp_path / "caught", monkeypatch)
    base = logits(load_policy(micro_copy, where=torch.device("cpu")).model)
    assert (logits(trainer.model) - base).abs().max() < 1e-4
    with trainer.model.disable_adapter():
        assert (logits(trainer.model) - base).abs().max() > 1e-2  # the parent alone is not to be had
    caught: list[Any] = []
    finish = Training.done

    def done_and_seen(self: Any, trained: Any, *rest: Any, **more: Any) -> Any:
        caught.append(logits(trained.model))
        return finish(self, trained, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "done", done_and_seen)
        done, folder, _ = run_step(step, beside=micro_copy)
    assert done.metrics["loss_last"] < done.metrics["loss_first"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["init_lora_weights"]) == (8, True)
    assert (logits(load_policy(folder, where=torch.device("cpu")).model) - caught[0]).abs().max() < 1e-4
    assert (caught[0] - base).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("cls", "wrong", "said"),
    [
        (Dpo, {"init_lora_weights": "pissa"}, "takes a plain LoRA adapter"),
        (Dpo, {"peft_type": "adaption_prompt"}, "takes a plain LoRA adapter"),
        (Sft, {"peft_type": "adaption_prompt", "lora_r": 4}, "`lora_r` has no meaning"),
        (Sft, {"peft_type": "adaption_prompt", "adapter": "merge_first"}, "cannot be merged"),
        (Sft, {"adapter_len": 4}, "is for `peft_type: adaption_prompt`"),
        (Sft, {"init_lora_weights": False}, "would change the model"),
        (Sft, {"init_lora_weights": "pissa", "load_in_4bit": True}, "4 or 8 bits"),
        (Sft, {"init_lora_weights": "pissa", "use_dora": True}, "does not go with"),
        (Sft, {"tune": "full", "init_lora_weights": "pissa"}, "has no meaning"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(cls: Any, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        cls.model_validate({"data": "d", **wrong})


def test_all_linear_leaves_the_output_layer_alone() -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1))
    adapted = get_peft_model(model, lora_config(model, Sft(data="d", lora_r=1)), low_cpu_mem_usage=True)
    names = {name.split(".lora_")[0].rpartition(".")[2] for name, p in adapted.named_parameters() if p.requires_grad}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
