"""Features of an answer: what transformers itself gives at the last token, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.conversation import Conversation, Message
from curation.errors import UserError

CHATS = [
    Conversation(messages=(Message("user", ask), Message("assistant", say)))
    for ask in ("How do I open the door?", "I want to fix the lamp. What now?")
    for say in ("Please open the door.", "You fix the lamp with care. Then check the lamp again and rest.", "No.")
]


def found(folder: Path, chats: list[Conversation], **how: int) -> np.ndarray:
    from curation.models import answer_features, load_policy

    loaded = load_policy(folder, merge=True)
    states: dict[int, np.ndarray] = {}
    for places, batch in answer_features(loaded, chats, **how):
        states.update(zip(places, batch, strict=True))
    return np.stack([states[i] for i in range(len(chats))])


def test_they_are_the_hidden_states_of_the_last_token(micro: Path) -> None:
    import torch

    from curation.models import load_policy

    loaded = load_policy(micro)
    for chat, own in zip(CHATS, found(micro, CHATS), strict=True):
        ids = loaded.template.encode(chat.messages, None)
        assert ids.ids[ids.end - 1] in loaded.template.ends  # the answer's end token
        with torch.inference_mode():
            out = loaded.model(torch.tensor([ids.ids[: ids.end]]), output_hidden_states=True)
        first = out.hidden_states[1][0, -1]  # after the first of two layers; the last one's comes normed
        assert own[:64] == pytest.approx(first.numpy(), abs=1e-4)
        normed = loaded.model.model.norm(torch.tensor(own[64:]))
        assert normed.detach().numpy() == pytest.approx(out.hidden_states[2][0, -1].numpy(), abs=1e-4)


def test_a_batch_changes_nothing_and_fewer_layers_are_the_last_ones(micro: Path) -> None:
    alone = found(micro, CHATS, batch_size=1)
    assert alone.shape == (6, 128) and alone.dtype == np.float32
    assert found(micro, CHATS, batch_size=4) == pytest.approx(alone, abs=1e-4)
    assert found(micro, CHATS, layers=1) == pytest.approx(alone[:, 64:], abs=1e-4)


def test_an_adapter_has_features_of_its_own(micro_copy: Path, add_adapter: Callable[..., Path]) -> None:
    adapted = found(add_adapter(micro_copy, "a" * 64), CHATS)
    assert np.abs(adapted - found(micro_copy, CHATS)).max() > 0.01


def test_a_chat_that_the_template_refuses_says_what_to_do(micro: Path) -> None:
    from curation.models import load_tokenizer

    end = load_tokenizer(micro).eos_token
    bad = Conversation(messages=(Message("user", "Hi"), Message("assistant", f"Well {end} no")))
    with pytest.raises(UserError, match="whose features are used"):
        found(micro, [bad])


class Memory(dict):
    """A cache that counts what it is asked to keep."""

    def get(self, key: str, ids: Sequence[str]) -> dict[str, np.ndarray]:
        return {i: self[key, i] for i in ids if (key, i) in self}

    def put(self, key: str, vectors: Mapping[str, np.ndarray]) -> None:
        self.update({(key, i): v for i, v in vectors.items()})


def test_each_answer_is_read_once_for_each_model(micro: Path) -> None:
    from curation.models import features_of, load_policy

    kept, opened = Memory(), []

    def load() -> Any:
        opened.append(1)
        return load_policy(micro)

    some = features_of(CHATS[:4], "a model", load, kept)
    every = features_of([*CHATS, CHATS[0]], "a model", load, kept)
    assert len(opened) == 2 and len(kept) == 6
    assert (every[:4] == some).all() and (every[6] == every[0]).all()
    assert (features_of(CHATS, "a model", load, kept) == every[:6]).all() and len(opened) == 2
    features_of(CHATS, "another", load, kept)
    assert len(opened) == 3 and len(kept) == 12
