"""Bringing a base into the store: what comes in, what is settled, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Quant
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.artifact import Policy, Surroundings, bind, hash_file
from curation.errors import UserError
from curation.models import Lineage, load_policy
from rlhf.recipe.identity import artifact_digest, step_key
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Done, Room
from rlhf.steps.base import Base

BringIn = Callable[..., tuple[Path, Done]]


@pytest.fixture
def bring_in(tmp_path: Path) -> BringIn:
    """Runs a `base` step on a model at a path relative to the test's folder; gives the artifact."""

    def run(written: str, **settings: Any) -> tuple[Path, Done]:
        step = bind(Base(model_name_or_path=written, **settings), Surroundings(tmp_path, hash_file))
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return out, step.run(Room(work=tmp_path, out=out, profile=Profile()))

    return run


@pytest.fixture
def source(micro: Path, tmp_path: Path) -> Path:
    """A folder as people have them: no lineage, another name, files that are no part of the model."""
    folder = Path(shutil.copytree(micro, tmp_path / "model"))
    (folder / "lineage.json").unlink()
    (folder / "README.md").write_text("# A model")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


def same_answers(one: Path, two: Path) -> bool:
    ids = torch.arange(3, 30)[None]
    first, second = (AutoModelForCausalLM.from_pretrained(p, dtype=torch.float32)(ids).logits for p in (one, two))
    return torch.equal(first, second)


def test_a_folder_comes_in_whole_and_without_what_is_no_part_of_it(source: Path, bring_in: BringIn) -> None:
    out, done = bring_in("model")
    assert same_answers(source, out)
    assert Lineage.read(out) == Lineage(None, (), "base")
    assert {"README.md", "training_args.bin"}.isdisjoint(p.name for p in out.iterdir())
    assert (out / "chat_template.jinja").read_text() == AutoTokenizer.from_pretrained(source).chat_template
    weights = load_file(source / "model.safetensors")
    assert done.metrics["parameters"] == sum(t.numel() for t in weights.values())
    assert done.metrics["vocabulary"] == len(AutoTokenizer.from_pretrained(source))


def test_the_same_model_in_two_places_is_one_artifact(source: Path, bring_in: BringIn, tmp_path: Path) -> None:
    out, _ = bring_in("model")
    first = artifact_digest(Policy, out)
    config = json.loads((source / "config.json").read_text())
    moved = Path(shutil.copytree(source, tmp_path / "elsewhere" / "other"))
    (moved / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/me", "transformers_version": "4"}))
    out, _ = bring_in("elsewhere/other")
    assert artifact_digest(Policy, out) == first
    assert not any(str(tmp_path) in p.read_text(errors="ignore") for p in out.iterdir() if p.suffix == ".json")


def test_a_template_takes_the_place_of_the_models_own(source: Path, bring_in: BringIn, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages[0]['content'] }}<|im_end|>")
    out, _ = bring_in("model", chat_template_path="chat.jinja")
    chat = [{"role": "user", "content": "Hi"}]
    assert AutoTokenizer.from_pretrained(out).apply_chat_template(chat, tokenize=False) == "Hi<|im_end|>"


def test_another_end_token_is_where_generation_stops(source: Path, bring_in: BringIn) -> None:
    out, _ = bring_in("model", eos_token="<|im_start|>", pad_token="<|im_end|>")
    loaded = load_policy(out)
    assert loaded.tokenizer.eos_token == "<|im_start|>"
    assert loaded.template.ends == {loaded.tokenizer.convert_tokens_to_ids("<|im_start|>")}
    assert loaded.tokenizer.pad_token == "<|im_end|>"


def test_end_tokens_that_the_makers_named_besides_stay(source: Path, bring_in: BringIn) -> None:
    path = source / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [2, 1], "temperature": 0.6}))
    out, _ = bring_in("model")
    assert load_policy(out).template.ends == {1, 2}


def test_weights_are_cast_one_by_one(source: Path, bring_in: BringIn) -> None:
    out, done = bring_in("model", dtype="bfloat16")
    before, after = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.equal(after[name], tensor.bfloat16()) for name, tensor in before.items())
    assert done.metrics["dtype"] == "BF16"
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


def test_weights_in_several_files(source: Path, bring_in: BringIn) -> None:
    model = AutoModelForCausalLM.from_pretrained(source)
    (source / "model.safetensors").unlink()
    model.save_pretrained(source, max_shard_size="100KB")
    assert len(list(source.glob("*.safetensors"))) > 2
    out, _ = bring_in("model")
    assert same_answers(source, out)


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def without_end(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["eos_token"]
    path.write_text(json.dumps(config))


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def too_few_embeddings(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:-20].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_no_known_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}')


def already_quantized(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("break_it", "what", "hint"),
    [
        (without_template, "has no chat template", "chat_template_path"),
        (without_end, "names no end token", "eos_token"),
        (cut_off, "is damaged", "copied whole"),
        (too_few_embeddings, "the model embeddings for", "from the same model"),
        (of_no_known_kind, "config of model cannot be read", "trust_remote_code: true"),
        (already_quantized, r"is quantized \(gptq\)", "the model that it was made from"),
    ],
)
def test_a_broken_model_is_an_error_with_the_next_step(
    source: Path, bring_in: BringIn, break_it: Callable[[Path], None], what: str, hint: str
) -> None:
    break_it(source)
    with pytest.raises(UserError, match=what) as error:
        bring_in("model")
    assert hint in error.value.hint


def test_a_token_that_the_model_does_not_know_is_refused_with_the_nearest(source: Path, bring_in: BringIn) -> None:
    with pytest.raises(UserError, match="not in the vocabulary") as error:
        bring_in("model", eos_token="<|im_en|>")
    assert "<|im_end|>" in error.value.hint


OWN = """
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
    def forward(self, *args, **kwargs):
        out = super().forward(*args, **kwargs)
        out.logits = out.logits + 1
        return out
"""


def test_a_models_own_code_runs_only_where_the_recipe_says_so(
    source: Path, bring_in: BringIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (source / "own.py").write_text(OWN)
    config = json.loads((source / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (source / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": classes}))
    with pytest.raises(UserError, match="config of model cannot be read") as error:
        bring_in("model")
    assert "trust_remote_code: true" in error.value.hint
    with pytest.raises(UserError, match="cannot be loaded"):
        load_policy(source)
    out, _ = bring_in("model", trust_remote_code=True)
    digest = artifact_digest(Policy, out)
    (source / "config.json").write_text(json.dumps(config))
    ids = torch.arange(3, 30)[None]
    torch.testing.assert_close(load_policy(out).model(ids).logits, load_policy(source).model(ids).logits + 1)
    (out / "own.py").write_text(OWN + "# changed")
    assert artifact_digest(Policy, out) != digest


def write_gguf(model: Path, path: Path, quant: Quant) -> None:
    """The micro model as llama.cpp writes a Llama: its names, its order of the rotary halves, its vocabulary."""
    config = json.loads((model / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(model)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("micro")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(len(tokenizer))
    core = json.loads((model / "tokenizer.json").read_text())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    special = set(tokenizer.all_special_tokens) | {"<|im_start|>"}
    writer.add_token_types([3 if t in special else 1 for t in tokens])
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in core["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "model.layers": "blk",
    }
    for name, tensor in load_file(model / "model.safetensors").items():
        weights = tensor.float().numpy()
        for heads, part in ((config["num_attention_heads"], "q_proj"), (config["num_key_value_heads"], "k_proj")):
            if part in name:
                halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
                weights = halves.swapaxes(1, 2).reshape(weights.shape)
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        if weights.ndim == 2 and quant is not Quant.F32:
            writer.add_tensor(name, gguf.quants.quantize(weights, quant), raw_dtype=quant)
        else:
            writer.add_tensor(name, np.ascontiguousarray(weights, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_the_model_that_it_was_made_from(micro: Path, bring_in: BringIn, tmp_path: Path) -> None:
    write_gguf(micro, tmp_path / "micro.gguf", Quant.F32)
    out, _ = bring_in("micro.gguf")
    before, after = load_policy(micro), load_policy(out)
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(after.model(ids).logits, before.model(ids).logits, atol=1e-5, rtol=0)
    text = "How do I open the door?\n  Größe 12!<|im_end|>"
    assert after.tokenizer(text)["input_ids"] == before.tokenizer(text)["input_ids"]
    assert after.template.ends == before.template.ends
    assert after.tokenizer.chat_template == before.tokenizer.chat_template


def test_a_quantized_gguf_is_kept_in_bfloat16_or_as_the_recipe_says(
    micro: Path, bring_in: BringIn, tmp_path: Path
) -> None:
    write_gguf(micro, tmp_path / "micro.gguf", Quant.Q8_0)
    rounded, done = bring_in("micro.gguf")
    assert done.metrics["dtype"] == "BF16"
    assert "quantization_config" not in json.loads((rounded / "config.json").read_text())
    exact, _ = bring_in("micro.gguf", dtype="float32")
    name = "model.layers.0.mlp.up_proj.weight"
    weights = load_file(micro / "model.safetensors")[name].numpy()
    wanted = gguf.quants.dequantize(gguf.quants.quantize(weights, Quant.Q8_0), Quant.Q8_0)
    assert np.array_equal(load_file(exact / "model.safetensors")[name].numpy(), wanted)


def test_a_damaged_gguf_is_an_error_of_the_users(micro: Path, bring_in: BringIn, tmp_path: Path) -> None:
    path = tmp_path / "micro.gguf"
    write_gguf(micro, path, Quant.F32)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"micro\.gguf cannot be read") as error:
        bring_in("micro.gguf")
    assert "whole" in error.value.hint


def test_the_key_follows_content_and_settings(source: Path, tmp_path: Path) -> None:
    around = Surroundings(tmp_path, hash_file)
    key = step_key(bind(Base(model_name_or_path="model"), around))
    assert step_key(bind(Base(model_name_or_path="./model", model_revision="main"), around)) == key
    assert step_key(bind(Base(model_name_or_path="model", dtype="float16"), around)) != key
    cut_off(source)
    assert step_key(bind(Base(model_name_or_path="model"), around)) != key
