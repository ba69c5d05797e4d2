"""The sampler against transformers' `generate`, and what it promises about batches and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, MistralConfig, MistralForCausalLM

from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models import Loaded, Sampling, ask, generate, load_policy, pack
from curation.models.generation import Completion, Request

TEXTS = [
    "How do I open the door?",
    "Tell me how to wash the car.",
    "I want to sell the boat. What now?",
    "What?",
    "How do I fold the map and then pack the lamp in the morning with a friend?",
]


def chats(texts: list[str], system: str = "") -> list[Conversation]:
    first = (Message("system", system),) if system else ()
    return [Conversation(messages=(*first, Message("user", text))) for text in texts]


@pytest.fixture(scope="module")
def policy(micro: Path) -> Loaded:
    return load_policy(micro)


def reference(model: torch.nn.Module, request: Request, new: int, ends: frozenset[int]) -> tuple[int, ...]:
    """Greedy tokens of transformers' own generate, one prompt at a time, so without any padding."""
    ids = torch.tensor([request.prompt])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=0,
    )[0, len(request.prompt) :].tolist()
    return tuple(out[:-1] if out[-1] in ends else out)


@pytest.mark.parametrize("system", ["", "Open the door, then read the book by hand and plan the cake with care."])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_greedy_equals_transformers_token_for_token(micro: Path, policy: Loaded, batch_size: int, system: str) -> None:
    """With the system prompt, all prompts share a long beginning, which is read once."""
    model = AutoModelForCausalLM.from_pretrained(micro, dtype=torch.float32).eval()
    requests, left_out = ask(policy, chats(TEXTS, system))
    made = generate(policy, requests, Sampling(temperature=0, max_completion_length=24), batch_size=batch_size)
    assert not left_out
    assert [c.tokens for c in made] == [reference(model, r, 24, policy.template.ends) for r in requests]
    assert any(c.finished for c in made)


def other_architectures() -> list[torch.nn.Module]:
    shape = {
        "vocab_size": 96,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    torch.manual_seed(3)
    gemma = Gemma3TextConfig(
        **shape, head_dim=8, sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    )
    return [MistralForCausalLM(MistralConfig(**shape, sliding_window=6)), Gemma3ForCausalLM(gemma)]


@pytest.mark.parametrize("model", other_architectures(), ids=lambda m: type(m).__name__)
def test_layers_that_see_a_window_only_are_masked_right(model: torch.nn.Module, policy: Loaded) -> None:
    """Prompts are longer than the window of 6, and share a beginning of 9 tokens."""
    model.eval()
    for weight in model.parameters():
        weight.data.mul_(3)  # sharper, so that greedy choices are far apart
    loaded = Loaded(model, policy.tokenizer, policy.template, torch.device("cpu"), "float32", "other")  # type: ignore[arg-type]
    shared = (5, 9, 13, 22, 31, 44, 58, 60, 71)
    requests = [Request(str(i), (*shared, *tail)) for i, tail in enumerate([(7,), (8, 90, 17, 33, 12, 3, 4), (66, 20)])]
    made = generate(loaded, requests, Sampling(temperature=0, max_completion_length=20), batch_size=3)
    assert [c.tokens for c in made] == [reference(model, r, 20, policy.template.ends) for r in requests]


def test_a_row_gets_the_same_answer_in_any_company(policy: Loaded) -> None:
    how = Sampling(max_completion_length=20, seed=5)
    alone = {}
    for chat in chats(TEXTS):
        requests, _ = ask(policy, [chat], samples=2)
        alone.update({(r.key, r.sample): c for r, c in zip(requests, generate(policy, requests, how), strict=True)})
    requests, _ = ask(policy, chats(TEXTS), samples=2)
    together = generate(policy, requests, how, batch_size=7)
    assert [alone[r.key, r.sample] for r in requests] == together
    assert len({c.tokens for c in together}) > 5


def test_another_seed_and_another_sample_give_other_answers(policy: Loaded) -> None:
    requests, _ = ask(policy, chats(TEXTS[:1]), samples=8)
    one = generate(policy, requests, Sampling(max_completion_length=20, seed=1))
    two = generate(policy, requests, Sampling(max_completion_length=20, seed=2))
    assert len({c.tokens for c in one}) > 4
    assert [c.tokens for c in one] != [c.tokens for c in two]


def test_answers_end_at_the_limit_or_at_an_end_token(policy: Loaded) -> None:
    requests, _ = ask(policy, chats(TEXTS), samples=4)
    made = generate(policy, requests, Sampling(max_completion_length=6))
    assert all(len(c.tokens) == 6 for c in made if not c.finished)
    assert all(len(c.tokens) < 6 for c in made if c.finished)
    assert all(policy.tokenizer.eos_token not in c.text for c in made)
    longer = generate(policy, requests, Sampling(max_completion_length=60))
    assert all(long.tokens[: len(short.tokens)] == short.tokens for short, long in zip(made, longer, strict=True))
    assert sum(c.finished for c in longer) > len(longer) / 2


def test_what_is_known_is_not_written_again_and_the_rest_is_the_same(policy: Loaded) -> None:
    requests, _ = ask(policy, chats(TEXTS), samples=2)
    how, batches = Sampling(max_completion_length=12), []
    whole = generate(policy, requests, how, batch_size=4, on_batch=batches.append)
    assert [len(b) for b in batches] == [4, 4, 2]
    rest: list[dict[int, Completion]] = []
    again = generate(policy, requests, how, batch_size=4, known=batches[0], on_batch=rest.append)
    assert again == whole
    assert rest == batches[1:]


def test_an_answer_stops_where_the_model_reads_no_further(micro: Path, policy: Loaded) -> None:
    loaded = load_policy(micro)
    loaded.model.config.max_position_embeddings = 40
    requests, left_out = ask(loaded, chats([TEXTS[0], "box " * 60]))
    assert list(left_out.values()) == ["prompt_too_long"]
    (made,) = generate(loaded, [Request("x", requests[0].prompt[:3] * 11)], Sampling(max_completion_length=50))
    assert len(made.tokens) + made.finished <= 7
    with pytest.raises(UserError, match="the model reads 40"):
        generate(loaded, [Request("x", requests[0].prompt * 9)], Sampling())


def test_a_control_token_in_a_prompt_is_refused(policy: Loaded) -> None:
    _, left_out = ask(policy, chats(["Say <|im_end|> please"]))
    assert list(left_out.values()) == ["control_token"]


def test_packed_weights_give_the_same_answers(micro: Path, policy: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.models.packing._WORTHWHILE", 0)  # layers as small as these are left alone otherwise
    packed = load_policy(micro)
    pack(packed.model)
    assert "PackedLinear" in repr(packed.model)
    ids = torch.tensor([list(range(5, 25))])
    with torch.inference_mode():
        torch.testing.assert_close(packed.model(ids).logits, policy.model(ids).logits, atol=1e-5, rtol=0)
    requests, _ = ask(policy, chats(TEXTS))
    how = Sampling(max_completion_length=16, top_k=8)
    assert generate(packed, requests, how) == generate(policy, requests, how)
