"""Static embeddings against the two libraries' own arithmetic."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model2vec import StaticModel
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from curation.errors import UserError
from curation.models import embedding
from curation.models.embedding import READ, embedder
from curation.models.pointer import OutsideModel

TEXTS = ["Open the door.", "x", "", "Mở cửa ra.", "打开门", "How do I bake bread? " * 40, "def f(x): return x + 1"]
WORDS = ["[UNK]", "open", "close", "the", "door", "window", "cửa", "mở", "fish"]


def static_model(seed: int = 0, width: int = 16, **how: Any) -> StaticModel:
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    rows = len(how["token_mapping"]) if "token_mapping" in how else len(WORDS)
    table = np.random.default_rng(seed).normal(size=(min(rows, len(WORDS)), width)).astype(np.float32)
    return StaticModel(table, tokenizer, **how)


def pointer(folder: Path, digest: str = "1" * 64) -> OutsideModel:
    return OutsideModel(folder.name, folder, digest)


def test_offline_vectors_are_wordllama_s_own() -> None:
    import wordllama

    theirs = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    full = [text for text in TEXTS if text]
    made = embedder()(full)
    assert made.dtype == np.float32 and made.shape == (len(full), embedder().width)
    np.testing.assert_allclose(made, theirs.embed(full, norm=True), atol=1e-6)
    assert "English" in embedder().name


def test_a_text_without_tokens_is_a_zero_and_all_others_have_length_one() -> None:
    made = embedder()(TEXTS)
    lengths = np.linalg.norm(made, axis=1)
    assert lengths[TEXTS.index("")] == 0
    assert lengths[[i for i, text in enumerate(TEXTS) if text]] == pytest.approx(1, abs=1e-6)


def test_the_texts_beside_a_text_do_not_change_a_bit_of_it() -> None:
    whole = embedder()(TEXTS * 90)
    for i, text in enumerate(TEXTS):
        assert embedder()([text])[0].tobytes() == whole[i].tobytes() == whole[i + 89 * len(TEXTS)].tobytes()


def test_the_end_of_an_endless_text_is_not_read() -> None:
    long = "bread " * READ
    one, other = embedder()([long, long[:READ] + "fish " * 500])
    assert one.tobytes() == other.tobytes()


def test_a_model2vec_folder_gives_that_library_s_vectors(tmp_path: Path) -> None:
    model = static_model()
    model.save_pretrained(tmp_path / "tiny")
    texts = ["open the door", "mở cửa", "close the window fish fish", "nothing known"]
    made = embedder(pointer(tmp_path / "tiny"))(texts)
    np.testing.assert_allclose(made, model.encode(texts, normalize=True), atol=1e-6)
    assert not made[-1].any()


def test_token_weights_and_shared_vectors_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    model = static_model(
        weights=rng.random(len(WORDS)), token_mapping=np.array([0, 1, 1, 2, 3, 3, 3, 1, 4]), normalize=True
    )
    model.save_pretrained(tmp_path / "tiny")
    texts = ["open the door", "close the window fish"]
    made = embedder(pointer(tmp_path / "tiny", "2" * 64))(texts)
    np.testing.assert_allclose(made, model.encode(texts), atol=1e-6)


def test_a_folder_without_an_embedding_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no model2vec embedding") as error:
        embedder(pointer(tmp_path))
    assert "potion-multilingual" in error.value.hint


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    for model, name in ((None, "wordllama"), (OutsideModel("m", Path("nowhere"), "3" * 64), "model2vec")):
        embedding._wordllama.cache_clear()
        with pytest.raises(UserError, match=f"needs? the package `{name}`") as error:
            embedder(model)
        assert "rlhf-curation[embed]" in error.value.hint


def test_loading_leaves_the_program_s_log_as_it_was() -> None:
    embedding._wordllama.cache_clear()
    before = logging.root.level, logging.root.handlers[:], logging.root.manager.disable
    embedder()
    assert (logging.root.level, logging.root.handlers[:], logging.root.manager.disable) == before
