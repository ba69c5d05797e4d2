"""`merge`: the sum of adapters is exact, approximations say how far off they are, what would be wrong is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, LoraModel, PeftModel, get_peft_model
from small_runs import model_ref, publish, room
from torch import Tensor
from transformers import AutoModelForCausalLM

from curation.artifact import Ref
from curation.errors import UserError
from curation.models.lineage import Lineage
from curation.models.loading import load_policy
from curation.models.saving import copy_tokenizer
from rlhf.steps.merge import Merge

IDS = torch.tensor([[3, 50, 61, 72, 83, 94, 105, 116]])


def adapter(base: Path, seed: int, stack: tuple[str, ...] = (), **shape: Any) -> Path:
    """A LoRA adapter with random numbers, as a training step would have published it."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **shape}
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**settings))
    drawn = torch.Generator().manual_seed(seed)
    for name, weights in model.named_parameters():
        if "lora_" in name:
            weights.data = torch.randn(weights.shape, generator=drawn) * 0.05
    out = base.parent / f"made-{seed}"
    model.save_pretrained(out)
    path = out / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config))
    Lineage(base.name, stack, "lora").write(out)
    copy_tokenizer(base, out)
    return publish(Merge(policies=["x"]), out, base)


def refs(folders: list[Path]) -> list[Ref[Any]]:
    return [model_ref(folder) for folder in folders]


def named(folders: list[Path]) -> dict[str, Ref[Any]]:
    return {f"p{i}": ref for i, ref in enumerate(refs(folders))}


def merged(place: Path, folders: list[Path], **settings: Any) -> tuple[Any, Path, Any]:
    """(what the step says, the artifact, the room)."""
    own = room(place)
    many = [Ref(f"p{i}", f, f.name, ref.accepts) for i, (f, ref) in enumerate(zip(folders, refs(folders), strict=True))]
    step = Merge(policies=many, **settings)
    done = step.run(own)
    return done, publish(step, own.out, folders[0]), own


def logits(folder: Path) -> Tensor:
    with torch.no_grad():
        return load_policy(folder, where=torch.device("cpu")).model(IDS).logits


def expected(base: Path, folders: list[Path], weights: list[float]) -> Tensor:
    """Logits of the base with the weighted sum of the adapters in its weights, by PEFT's own delta of each."""
    model: Any = AutoModelForCausalLM.from_pretrained(base).double()
    deltas = []
    for folder, weight in zip(folders, weights, strict=True):
        wrapped = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
        for name, module in wrapped.base_model.model.named_modules():
            if hasattr(module, "get_delta_weight"):
                deltas.append((name, weight * module.get_delta_weight("default").double()))
    with torch.no_grad():
        for name, delta in deltas:
            model.get_submodule(name).weight += delta
        return model(IDS).logits


def test_side_by_side_is_the_sum_whatever_ranks_weights_and_scalings(micro_copy: Path, tmp_path: Path) -> None:
    folders = [
        adapter(micro_copy, 1),
        adapter(micro_copy, 2, r=6, lora_alpha=3, target_modules=["q_proj", "up_proj"]),
        adapter(micro_copy, 3, r=2, use_rslora=True),
    ]
    weights = [1.0, 0.5, -2.0]
    done, folder, own = merged(tmp_path / "room", folders, weights=weights)
    assert (logits(folder) - expected(micro_copy, folders, weights)).abs().max() < 1e-5
    assert (logits(folder) - logits(micro_copy)).abs().max() > 0.1
    assert done.metrics["rank"] == 12
    assert own.warnings == []
    digests = tuple(f.name for f in folders)
    assert Lineage.read(folder) == Lineage(micro_copy.name, (), "lora", digests)
    _, same, _ = merged(tmp_path / "again", folders, weights=weights)
    assert same == folder


def test_a_stack_becomes_one_adapter_with_the_same_logits(micro_copy: Path, tmp_path: Path) -> None:
    """The second stands on the first, the third on both: the stack as it is loaded is what the merge must equal."""
    first = adapter(micro_copy, 1)
    second = adapter(micro_copy, 2, (first.name,), r=2)
    third = adapter(micro_copy, 3, (first.name, second.name), target_modules=["o_proj"])
    _, folder, _ = merged(tmp_path / "room", [first, second, third])
    assert (logits(folder) - logits(third)).abs().max() < 1e-5
    assert Lineage.read(folder).stack == ()
    _, upper, _ = merged(tmp_path / "upper", [second, third])  # what is not named stays below
    assert Lineage.read(upper).stack == (first.name,)
    assert (logits(upper) - logits(third)).abs().max() < 1e-5


@pytest.mark.parametrize("how", ["linear", "ties", "magnitude_prune"])
def test_mixtures_are_those_of_peft_and_say_how_far_off_they_are(micro_copy: Path, tmp_path: Path, how: Any) -> None:
    folders = [adapter(micro_copy, 1), adapter(micro_copy, 2)]
    more: dict[str, Any] = {} if how == "linear" else {"density": 0.5}
    done, folder, own = merged(tmp_path / "room", folders, weights=[0.7, 0.3], combination_type=how, **more)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(micro_copy), folders[0], adapter_name="a")
    model.load_adapter(folders[1], adapter_name="b")
    model.add_weighted_adapter(["a", "b"], [0.7, 0.3], "mixed", combination_type=how, **more)
    model.set_adapter("mixed")
    with torch.no_grad():
        assert (logits(folder) - model.eval()(IDS).logits).abs().max() < 1e-5
    assert done.metrics["relative_error"] > 0.1
    assert any("approximation" in text for text in own.warnings)


@pytest.mark.parametrize("how", ["dare_linear", "dare_ties"])
def test_mixtures_that_drop_at_random_are_those_of_peft(
    micro_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    """On the same random numbers, for which one layer is enough: PEFT draws others for a new adapter in between."""
    one_layer = {"target_modules": ["q_proj"], "layers_to_transform": [1]}
    folders = [adapter(micro_copy, 1, **one_layer), adapter(micro_copy, 2, **one_layer)]
    _, folder, _ = merged(tmp_path / "room", folders, weights=[0.7, -0.3], combination_type=how, density=0.5, seed=7)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(micro_copy), folders[0], adapter_name="a")
    model.load_adapter(folders[1], adapter_name="b")
    mix = LoraModel._generalized_task_arithmetic_weighted_adapter

    def seeded(*args: Any, **more: Any) -> Any:
        torch.manual_seed(7)
        return mix(*args, **more)

    monkeypatch.setattr(LoraModel, "_generalized_task_arithmetic_weighted_adapter", seeded)
    model.add_weighted_adapter(["a", "b"], [0.7, -0.3], "mixed", combination_type=how, density=0.5)
    model.set_adapter("mixed")
    with torch.no_grad():
        assert (logits(folder) - model.eval()(IDS).logits).abs().max() < 1e-5
    assert (logits(folder) - logits(micro_copy)).abs().max() > 1e-3


def test_svd_is_exact_where_the_rank_allows_and_the_nearest_where_not(micro_copy: Path, tmp_path: Path) -> None:
    folders = [adapter(micro_copy, 1, target_modules=["q_proj"]), adapter(micro_copy, 2, target_modules=["q_proj"])]
    exact, folder, _ = merged(tmp_path / "exact", folders, combination_type="svd", svd_rank=8)
    assert exact.metrics["relative_error"] < 1e-6
    assert (logits(folder) - expected(micro_copy, folders, [1.0, 1.0])).abs().max() < 1e-5
    less, _, _ = merged(tmp_path / "less", folders, combination_type="svd", svd_rank=3)
    off = whole = 0.0
    for i in range(2):  # the singular values that are cut off are the distance
        product = torch.zeros(64, 64, dtype=torch.float64)
        for f in folders:
            found = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(micro_copy), f)
            layer: Any = found.base_model.model.model.layers[i].self_attn.q_proj
            product += layer.get_delta_weight("default").double()
        s = torch.linalg.svdvals(product)
        off, whole = off + float(s[3:].square().sum()), whole + float(s.square().sum())
    assert less.metrics["relative_error"] == pytest.approx((off / whole) ** 0.5, rel=1e-5)


def test_dare_depends_on_the_seed_alone(micro_copy: Path, tmp_path: Path) -> None:
    folders = [adapter(micro_copy, 1), adapter(micro_copy, 2)]
    made = [
        merged(tmp_path / str(i), folders, combination_type="dare_linear", density=0.5, seed=seed)[1]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "whole layers"),
        ({"rank_pattern": {"q_proj": 2}}, "ranks of its own"),
    ],
)
def test_what_is_no_sum_is_refused(micro_copy: Path, tmp_path: Path, shape: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        merged(tmp_path / "room", [adapter(micro_copy, 1), adapter(micro_copy, 2, **shape)])


def test_rslora_is_not_given_to_peft_and_neither_are_other_ranks(micro_copy: Path, tmp_path: Path) -> None:
    """A mixture of rsLoRA takes its own scaling; ranks must agree for all but `cat` and `svd`."""
    with pytest.raises(UserError, match="different ranks"):
        merged(tmp_path / "a", [adapter(micro_copy, 1), adapter(micro_copy, 2, r=2)], combination_type="linear")
    one = adapter(micro_copy, 3, use_rslora=True)
    _, folder, _ = merged(tmp_path / "b", [one], combination_type="linear")
    assert (logits(folder) - logits(one)).abs().max() < 1e-5  # of one adapter every mixture is the adapter itself


def test_a_full_model_and_strangers_are_refused(micro_copy: Path, tmp_path: Path) -> None:
    one = adapter(micro_copy, 1)
    with pytest.raises(UserError, match="do not stand on the same parents"):
        merged(tmp_path / "a", [one, adapter(micro_copy, 2, ("f" * 64,))])
    other = Path(shutil.copytree(micro_copy, micro_copy.parent / "other"))
    with pytest.raises(UserError, match="do not stand on the same parents"):
        merged(tmp_path / "b", [one, other])
    with pytest.raises(UserError, match="is a full model"):
        merged(tmp_path / "c", [other])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weights": [1.0]}, "1 numbers for 2"),
        ({"combination_type": "ties"}, "needs a `density`"),
        ({"density": 0.5}, "has no place for `density`"),
        ({"svd_rank": 4}, "for `svd` alone"),
        ({"policies": ["a", "a"]}, "names one twice"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Merge.model_validate({"policies": ["a", "b"], **wrong})
