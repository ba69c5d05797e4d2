"""Classifiers from outside, each chat in a batch against the same chat alone in transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models.pointer import OutsideModel
from curation.operators.reward_model import RewardScore

WORDS = "[PAD] [UNK] [CLS] [SEP] open the door you close window how do i lift box no with care".split()


def chat(*texts: str) -> Conversation:
    said = (Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))
    return Conversation(messages=tuple(said))


CHATS = [
    chat("how do i open the door", "you open the door with care"),
    chat("how do i lift the box", "no"),
    chat("open the window", "no", "close the window", "you do"),
    chat("", "with care"),
]


def outside(folder: Path, digest: str = "1" * 64) -> OutsideModel:
    return OutsideModel(folder.name, folder, digest)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, and a tokenizer that puts two texts together as BERT's does."""
    torch.manual_seed(2)
    raw = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = Whitespace()
    raw.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        num_labels=3,
        id2label={0: "bad", 1: "fair", 2: "good"},
        initializer_range=0.5,
    )
    folder = tmp_path_factory.mktemp("bert")
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_like_bert_reads_what_was_said_before_and_the_answer(bert: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(bert).eval()
    tokenizer = AutoTokenizer.from_pretrained(bert)
    for label, column in (("good", 2), ("bad", 0), ("1", 1)):
        wanted = []
        for c in CHATS:
            before = "\n\n".join(m.content for m in c.messages[:-1])
            with torch.inference_mode():
                logits = model(**tokenizer(before, c.reply, return_tensors="pt")).logits[0]
            wanted.append(float(logits.softmax(-1)[column]))
        assert RewardScore(model_name_or_path=outside(bert), label=label).score(CHATS) == pytest.approx(
            wanted, abs=1e-5
        )


def test_a_chat_beyond_what_it_reads_is_cut(bert: Path) -> None:
    (found,) = RewardScore(model_name_or_path=outside(bert), label="good").score(
        [chat("open the door " * 30, "no " * 40)]
    )
    assert 0 < found < 1


@pytest.mark.parametrize(
    ("label", "said", "hint"),
    [(None, "knows 3 classes", "bad, fair, good"), ("god", "no class 'god'", "'good'"), ("3", "no class '3'", "")],
)
def test_which_of_several_classes_is_meant_must_be_said(bert: Path, label: str | None, said: str, hint: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        RewardScore(model_name_or_path=outside(bert), label=label).prepare()
    assert hint in error.value.hint


def test_a_reward_model_on_a_language_model_reads_the_chat_as_its_template_writes_it(
    micro: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_pretrained(micro, num_labels=1, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(micro)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    wanted = []
    for c in CHATS:
        text = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in c.messages)
        with torch.inference_mode():
            wanted.append(float(model(**tokenizer(text, return_tensors="pt")).logits[0, 0]))
    scorer = RewardScore(model_name_or_path=outside(tmp_path, "2" * 64))
    assert scorer.score(CHATS) == pytest.approx(wanted, abs=1e-5)
    assert [scorer.score([c])[0] for c in CHATS] == pytest.approx(wanted, abs=1e-5)
    assert len({round(x, 4) for x in wanted}) == len(CHATS)
    with pytest.raises(UserError, match="has one output, so there is no class 'good'"):
        RewardScore(model_name_or_path=outside(tmp_path, "2" * 64), label="good").prepare()


def test_a_reward_comes_from_one_model() -> None:
    for settings in ({}, {"reward": "a", "model_name_or_path": "b"}):
        with pytest.raises(ValueError, match="one of them"):
            RewardScore.model_validate(settings)
    with pytest.raises(ValueError, match="takes no `label`"):
        RewardScore.model_validate({"reward": "a", "label": "good"})
