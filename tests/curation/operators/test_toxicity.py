"""Toxicity by a classifier equals transformers' own forward pass; by the list it counts what `profanity` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from curation.artifact import InputFile
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.frame import to_frame
from curation.models.pointer import OutsideModel
from curation.operators.toxicity import Toxicity
from curation.pipeline import curate

WORDS = "[PAD] [UNK] [CLS] [SEP] you are a kind cruel person and i will help hurt nobody today".split()
WINDOW = 12


def chat(*texts: str) -> Conversation:
    return Conversation(messages=tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(texts)))


CHATS = [
    chat("hurt", "you are kind"),
    chat("help", "you are a cruel person and i will hurt you"),
    chat("a", ""),
    chat("kind", "i will help nobody today"),
]


def classifier(folder: Path, labels: list[str], **config: Any) -> OutsideModel:
    """A small BERT of chance, with these labels."""
    torch.manual_seed(5)
    raw = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.pre_tokenizer = Whitespace()
    raw.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **special)
    settings = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=WINDOW,
        initializer_range=0.6,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        **config,
    )
    BertForSequenceClassification(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return OutsideModel(folder.name, folder, folder.name)


@pytest.fixture(scope="module")
def exclusive(tmp_path_factory: pytest.TempPathFactory) -> OutsideModel:
    return classifier(tmp_path_factory.mktemp("exclusive"), ["neutral", "hate", "offensive"])


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> OutsideModel:
    labels, kind = ["toxic", "insult", "threat"], "multi_label_classification"
    return classifier(tmp_path_factory.mktemp("several"), labels, problem_type=kind)


def logits(pointer: OutsideModel, words: list[str]) -> torch.Tensor:
    """Of one text by itself, at most as long as the model reads."""
    model = AutoModelForSequenceClassification.from_pretrained(pointer.folder).eval()
    ids = torch.tensor([[2, *(WORDS.index(word) for word in words), 3]])
    with torch.inference_mode():
        return model(input_ids=ids).logits[0]


def test_of_classes_that_exclude_each_other_the_probabilities_add_up(exclusive: OutsideModel) -> None:
    own = Toxicity(model_name_or_path=exclusive, labels=("hate", "Offensive"))
    wanted = [float(logits(exclusive, c.reply.split()).softmax(0)[1:].sum()) for c in CHATS]
    assert own.score(CHATS) == pytest.approx(wanted, abs=1e-6)
    assert max(wanted) - min(wanted) > 0.01


def test_of_several_at_once_the_likeliest_counts(several: OutsideModel) -> None:
    both = Toxicity(model_name_or_path=several, labels=("insult", "threat")).score(CHATS)
    assert both == pytest.approx([float(logits(several, c.reply.split()).sigmoid()[1:].max()) for c in CHATS], abs=1e-6)
    named = Toxicity(model_name_or_path=several).score(CHATS)  # `toxic`, without a word
    assert named == pytest.approx([float(logits(several, c.reply.split()).sigmoid()[0]) for c in CHATS], abs=1e-6)


def test_what_a_window_holds_a_long_text_holds(several: OutsideModel) -> None:
    words = ("you are a kind person and i will help nobody " * 4 + "i will hurt you today").split()
    fits = WINDOW - 2
    windows = [words[i : i + fits] for i in range(0, len(words), fits)]
    wanted = max(float(logits(several, window).sigmoid()[0]) for window in windows)
    own = Toxicity(model_name_or_path=several)
    assert own.score([chat("q", " ".join(words))]) == pytest.approx([wanted], abs=1e-6)
    assert own.score([chat("q", " ".join(words)), CHATS[0]])[0] == pytest.approx(wanted, abs=1e-6)


def test_questions_count_where_the_chat_is_meant(several: OutsideModel) -> None:
    row = chat("you are cruel", "help")
    whole = Toxicity(model_name_or_path=several, of="chat").score([row])
    assert whole == pytest.approx([float(logits(several, "you are cruel help".split()).sigmoid()[0])], abs=1e-6)
    asked = Toxicity(model_name_or_path=several, on="prompt").score([chat("you are cruel")])
    assert asked == pytest.approx([float(logits(several, "you are cruel".split()).sigmoid()[0])], abs=1e-6)


def test_labels_are_the_model_s_own(exclusive: OutsideModel) -> None:
    with pytest.raises(UserError, match="has no label that is called toxic") as caught:
        Toxicity(model_name_or_path=exclusive).prepare()
    assert "neutral, hate, offensive" in str(caught.value.hint)
    with pytest.raises(UserError, match="has no label 'hatred'"):
        Toxicity(model_name_or_path=exclusive, labels=("hatred",)).prepare()


RUDE = chat("q", "Merde! This is shit.")


def test_without_a_model_rude_words_are_counted(tmp_path: Path) -> None:
    rows = [RUDE, chat("q", "oh, putain"), chat("shit", "Scunthorpe"), Conversation(messages=())]
    own = Toxicity()
    assert not own.chunked
    assert own.score_frame(to_frame(rows, Conversation)).to_list() == own.score(rows) == [2 / 3, 1 / 2, 0, 0]
    assert Toxicity(of="chat").score(rows) == [2 / 3, 1 / 2, 1 / 2, 0]
    assert Toxicity(languages=("fr",)).score(rows) == [1 / 2, 1 / 2, 0, 0]
    path = tmp_path / "own.txt"
    path.write_text("Scunthorpe\n", encoding="utf-8")
    assert Toxicity(languages=(), file=InputFile("own.txt", path, "d")).score(rows) == [0, 0, 1 / 2, 0]


def test_it_scores_in_a_list_of_operators_either_way(several: OutsideModel) -> None:
    by_model = Toxicity(model_name_or_path=several)
    assert by_model.chunked
    for own in (Toxicity(), by_model):
        rows = [*CHATS, RUDE]
        kept = {row.id: row.scores["toxicity"] for row in curate(rows, [own]).kept.rows()}
        assert [kept[row.id] for row in rows] == pytest.approx(own.score(rows), abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model_name_or_path": "org/model", "languages": ["en"]}, "without a model"),
        ({"labels": ["toxic"]}, "those of a model"),
        ({"languages": ["tlh"]}, "no words in 'tlh'"),
        ({"languages": []}, "no words to look for"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Toxicity(**settings)
