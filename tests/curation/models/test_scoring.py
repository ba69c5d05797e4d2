"""Log-probabilities, perplexity and rewards against transformers' full forward pass, one row at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    MistralConfig,
    MistralForCausalLM,
)

from curation.artifact import Policy, Ref, RewardModel
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models import answer_ids, chat_ids, load_policy, load_reward, log_probs, rewards_of
from curation.models.reading import read
from curation.operators.perplexity import Perplexity
from curation.operators.reward_model import RewardScore

CHATS = [
    ("How do I open the door?", "You open the door with care."),
    ("What?", "Please fold the map at home. Then check the map again and rest for a while."),
    ("Tell me how to wash the car.", "No."),
    ("I want to sell the boat. What now?", ""),
]


SYSTEM = "Open the door, then read the book by hand and plan the cake with care."


def chat(ask: str, answer: str, system: str = "", **meta: Any) -> Conversation:
    first = (Message("system", system),) if system else ()
    return Conversation(messages=(*first, Message("user", ask), Message("assistant", answer)), meta=meta)


def by_hand(folder: Path, ask: str, answer: str, system: str = "", *, end: bool = True) -> list[float]:
    """Log-probability of each token of the answer (and of its end token), by a full softmax over all positions."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    first = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    prompt = tokenizer(f"{first}<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n")["input_ids"]
    reply = tokenizer(answer + ("<|im_end|>" if end else ""))["input_ids"]
    ids = torch.tensor([prompt + reply])
    with torch.inference_mode():
        table = model(ids).logits[0].log_softmax(-1)
    return [float(table[i - 1, ids[0, i]]) for i in range(len(prompt), ids.shape[1])]


@pytest.mark.parametrize("system", ["", SYSTEM])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_log_probs_equal_a_full_forward_pass(micro: Path, batch_size: int, system: str) -> None:
    """With the system prompt, all chats share a long beginning, which is read once a batch."""
    loaded = load_policy(micro)
    rows = [answer_ids(loaded, chat(*c, system)) for c in CHATS]
    for found, (ask, answer) in zip(log_probs(loaded, rows, batch_size=batch_size), CHATS, strict=True):
        wanted = by_hand(micro, ask, answer, system)
        assert found.tokens == len(wanted)
        assert found.log_prob == pytest.approx(sum(wanted), abs=1e-4)  # float32 against float64


def test_a_cut_answer_is_not_blamed_for_its_missing_end(micro: Path) -> None:
    loaded = load_policy(micro)
    (found,) = log_probs(loaded, [answer_ids(loaded, chat(*CHATS[0], finished=False))])
    assert found.log_prob == pytest.approx(sum(by_hand(micro, *CHATS[0], end=False)), abs=1e-4)


def test_a_chat_beyond_the_context_loses_the_beginning_of_its_prompt(micro: Path) -> None:
    loaded = load_policy(micro)
    prompt, answer = answer_ids(loaded, chat(*CHATS[0]))
    loaded.model.config.max_position_embeddings = len(answer) + 5
    assert answer_ids(loaded, chat(*CHATS[0])) == (prompt[-5:], answer)


def ref(kind: type, folder: Path) -> Ref[Any]:
    return Ref("step", accepts=(kind,)).bound(folder, folder.name)


def test_perplexity_is_the_exponential_of_the_mean(micro: Path) -> None:
    scorer = Perplexity(policy=ref(Policy, micro))
    scorer.prepare()
    found = scorer.score([chat(*c) for c in CHATS])
    for score, (ask, answer) in zip(found, CHATS, strict=True):
        wanted = by_hand(micro, ask, answer)
        assert score == pytest.approx(math.exp(-sum(wanted) / len(wanted)), rel=1e-4)
    assert scorer.score([chat("What?", "", finished=False)]) == [1.0]
    assert min(found) >= 1


def test_a_chat_without_an_answer_is_an_error_that_names_it(micro: Path) -> None:
    question = Conversation(messages=(Message("user", "What?"),))
    with pytest.raises(UserError, match=f"conversation {question.id} does not end on an answer") as error:
        Perplexity(policy=ref(Policy, micro)).score([question])
    assert "roles" in error.value.hint


def test_a_control_token_in_an_answer_is_an_error_that_names_it(micro: Path) -> None:
    bad = chat("What?", "End <|im_end|> here")
    with pytest.raises(UserError, match=f"conversation {bad.id} cannot be scored by `perplexity`"):
        Perplexity(policy=ref(Policy, micro)).score([bad])


def test_perplexity_wants_exactly_one_model() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Perplexity()
    with pytest.raises(ValueError, match="one of them"):
        Perplexity.model_validate({"policy": "sft", "model_name_or_path": "x"})


def test_rewards_equal_transformers_own_classifier(micro_copy: Path, add_adapter: Any, tmp_path: Path) -> None:
    """On an adapter that is itself a parent; transformers reads each chat alone, through peft."""
    low = add_adapter(micro_copy, "low", seed=3)
    folder = add_adapter(low, "reward", seed=4, reward=True)
    policy = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(micro_copy, dtype=torch.float32), low)
    policy.merge_and_unload().save_pretrained(tmp_path / "merged")
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "merged", num_labels=1, dtype=torch.float32
    )
    model = PeftModel.from_pretrained(model, folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(micro_copy)
    wanted = []
    for ask, answer in CHATS:
        first = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        text = f"{first}<|im_start|>user\n{ask}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>"
        with torch.inference_mode():
            wanted.append(float(model(**tokenizer(text, return_tensors="pt")).logits[0, 0]))
    loaded = load_reward(folder)
    rows = [chat_ids(loaded, chat(*c, SYSTEM)) for c in CHATS]
    for batch_size in (1, 3, 16):
        assert rewards_of(loaded, rows, batch_size=batch_size) == pytest.approx(wanted, abs=1e-5)
    found = RewardScore(reward=ref(RewardModel, folder)).score([chat(*c, SYSTEM) for c in CHATS])
    assert found == pytest.approx(wanted, abs=1e-5)
    assert len({round(x, 3) for x in found}) == len(CHATS)


def test_a_full_reward_model_needs_no_parent(micro_copy: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(micro_copy, num_labels=1, dtype=torch.float32).eval()
    folder = tmp_path / "whole"
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(micro_copy).save_pretrained(folder)
    loaded = load_reward(folder)
    rows = [chat_ids(loaded, chat(*c)) for c in CHATS]
    with torch.inference_mode():
        wanted = [float(model(torch.tensor([row])).logits[0, 0]) for row in rows]
    assert rewards_of(loaded, rows) == pytest.approx(wanted, abs=1e-5)


def test_a_window_is_counted_from_each_row_and_a_shared_beginning_is_read_once() -> None:
    """Chats are longer than the window of 6; one row is the other's beginning."""
    torch.manual_seed(1)
    model = MistralForCausalLM(
        MistralConfig(
            vocab_size=60,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=6,
        )
    ).eval()
    beginning = list(range(5, 17))
    rows = [[*beginning, 3, 4, 50], [*beginning, 3], [*beginning, 40, 41, 42, 43, 44]]
    with torch.inference_mode():
        for most, shared in ((11, 11), (12, 12), (40, 12), (5, 0)):
            hidden, start = read(model.model, rows, most, torch.device("cpu"))
            assert start == shared
            for i, row in enumerate(rows):
                wanted = model.model(torch.tensor([row])).last_hidden_state[0, start:]
                torch.testing.assert_close(hidden[i, : len(row) - start], wanted, atol=1e-5, rtol=0)
