"""`ifd` against two plain loops over transformers' own forward pass, and `tokens` against the tokenizer itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.artifact import Policy, Ref
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.frame import to_frame
from curation.models import load_policy
from curation.models.scoring import header_ids
from curation.operators.ifd import Ifd
from curation.operators.tokens import Tokens

HEADER = "<|im_start|>assistant\n"


def chat(*texts: str, system: str = "", **meta: Any) -> Conversation:
    first = (Message("system", system),) if system else ()
    said = (Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))
    return Conversation(messages=(*first, *said), meta=meta)


CHATS = [
    chat("How do I open the door?", "You open the door with care."),
    chat("What?", "Please fold the map at home. Then check the map again and rest for a while."),
    chat("How do I lift the box?", "By hand.", "And then?", "You lift the box at home.", system="Be brief."),
    chat("Làm sao mở cửa?", "Hãy mở cửa cẩn thận."),
    chat("Tell me how to wash the car.", "No."),
]


def ref(kind: type, folder: Path) -> Ref[Any]:
    return Ref("step", accepts=(kind,)).bound(folder, folder.name)


def loss(folder: Path, context: str, answer: str) -> float:
    """Mean negative log-likelihood of the answer after the context, alone in its batch, in float64."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before, after = tokenizer(context)["input_ids"], tokenizer(answer)["input_ids"]
    ids = torch.tensor([before + after])
    with torch.inference_mode():
        table = model(ids).logits[0].log_softmax(-1)
    return -sum(float(table[i - 1, ids[0, i]]) for i in range(len(before), ids.shape[1])) / len(after)


def by_hand(folder: Path, conversation: Conversation, end: str = "<|im_end|>") -> tuple[float, float]:
    """(loss given all before the answer, loss after the answer's header alone)."""
    asked = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in conversation.messages[:-1])
    answer = conversation.messages[-1].content + end
    return loss(folder, asked + HEADER, answer), loss(folder, HEADER, answer)


def test_ifd_is_the_ratio_of_two_readings(micro: Path) -> None:
    found = Ifd(policy=ref(Policy, micro)).score(CHATS)
    ratios = Ifd(policy=ref(Policy, micro), of="loss").score(CHATS)
    for score, ratio, conversation in zip(found, ratios, CHATS, strict=True):
        given, alone = by_hand(micro, conversation)
        assert score == pytest.approx(math.exp(given) / math.exp(alone), abs=1e-4)
        assert ratio == pytest.approx(given / alone, abs=1e-4)
        assert (score < 1) == (ratio < 1)


def test_rows_beside_a_row_change_nothing_of_it(micro: Path) -> None:
    scorer = Ifd(policy=ref(Policy, micro))
    together = scorer.score(CHATS)
    assert together == pytest.approx([scorer.score([c])[0] for c in CHATS], abs=1e-5)


def test_an_answer_after_nothing_but_its_header_has_an_ifd_of_one(micro: Path) -> None:
    alone = Conversation(messages=(Message("assistant", "You open the door with care."),))
    assert Ifd(policy=ref(Policy, micro)).score([alone]) == pytest.approx([1.0], abs=1e-5)


def test_a_cut_answer_is_not_blamed_for_its_missing_end(micro: Path) -> None:
    cut = chat("How do I open the door?", "You open the", finished=False)
    given, alone = by_hand(micro, cut, end="")
    assert Ifd(policy=ref(Policy, micro)).score([cut])[0] == pytest.approx(math.exp(given - alone), abs=1e-4)


def test_an_answer_longer_than_the_context_is_cut_alike_in_both_readings(micro: Path) -> None:
    from curation.models.opened import close

    scorer = Ifd(policy=ref(Policy, micro))
    scorer.prepare()
    scorer._model().model.config.max_position_embeddings = 12
    try:
        (found,) = scorer.score([chat("What?", "You open the door with care. " * 9)])
    finally:
        close()
    assert found == pytest.approx(1.0, abs=1e-5)  # room for one token of context: the header's last, in both


def test_a_chat_without_an_answer_is_an_error_that_names_it(micro: Path) -> None:
    with pytest.raises(UserError, match=r"does not end on an answer, so `ifd` has nothing to score"):
        Ifd(policy=ref(Policy, micro)).score([chat("What?")])


def test_ifd_wants_exactly_one_model() -> None:
    with pytest.raises(ValueError, match="`ifd` needs a model"):
        Ifd()


def test_a_template_without_a_header_gives_the_token_that_begins_a_text(micro_copy: Path) -> None:
    loaded = load_policy(micro_copy)
    assert loaded.tokenizer.decode(header_ids(loaded)) == HEADER
    loaded.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    assert header_ids(loaded) == [loaded.tokenizer.bos_token_id or loaded.tokenizer.eos_token_id]


# tokens


def test_tokens_are_those_of_the_target_model(micro: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(micro)
    whole = [
        len(
            tokenizer(
                "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in c.messages), add_special_tokens=False
            )["input_ids"]
        )
        for c in CHATS
    ]
    texts = [[len(tokenizer(m.content)["input_ids"]) for m in c.messages] for c in CHATS]
    for of, wanted in (("chat", whole), ("text", [sum(t) for t in texts]), ("last", [t[-1] for t in texts])):
        scorer = Tokens.model_validate({"policy": ref(Policy, micro), "of": of})
        assert scorer.score(CHATS) == wanted
        assert scorer.score_frame(to_frame(CHATS, Conversation)).to_list() == wanted
        assert scorer.score([]) == []


def test_only_chats_as_the_template_writes_them_need_a_template(micro_copy: Path) -> None:
    (micro_copy / "chat_template.jinja").write_text("{{ raise_exception('no such role') }}")
    assert Tokens(policy=ref(Policy, micro_copy), of="last").score(CHATS[:1])[0] > 0
    with pytest.raises(UserError, match=f"conversation {CHATS[0].id} cannot be scored by `tokens`: .*no such role"):
        Tokens(policy=ref(Policy, micro_copy)).score(CHATS[:1])


def test_tokens_wants_exactly_one_model() -> None:
    with pytest.raises(ValueError, match="`tokens` needs a model"):
        Tokens()
