"""Texts as vectors by static embeddings: a vector a token from a table, their mean, unit length.

Nothing is computed in layers, so it costs what cutting a text into tokens costs, thousands of texts a second on one
core: cheap enough to be done anew wherever vectors are needed. Two kinds of model:

- **wordllama**, whose weights lie inside the installed package, so it works offline. It was made for English; texts in
  other languages get vectors, which say less about what they mean.
- **model2vec**: a folder that `StaticModel.save_pretrained` wrote, or a name on the Hub such as
  `minishlab/potion-multilingual-128M`, which knows 101 languages.

The vector of a text does not depend on the texts beside it, to the last bit: each mean is taken by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.errors import UserError, first_line

if TYPE_CHECKING:
    from curation.models.pointer import OutsideModel

READ = 4000
"""Characters of a text that are read: one endless row must not cost as much as all others, and a mean over a thousand
tokens hardly moves."""
OFFLINE = "wordllama, which knows English best"
"""The offline model, as people are told of it."""


class Embedder:
    """A table of token vectors with its tokenizer."""

    def __init__(self, name: str, table: Any, tokens: Any) -> None:
        self.name = name
        """For people."""
        self._table, self._tokens = table, tokens

    @property
    def width(self) -> int:
        """Numbers of one vector."""
        return int(self._table.shape[1])

    def __call__(self, texts: Sequence[str]) -> Any:
        """(texts, width) float32 vectors of length 1; zeros for a text without tokens."""
        import numpy as np

        made = np.zeros((len(texts), self.width), dtype=np.float32)
        for start in range(0, len(texts), 256):
            for row, ids in enumerate(self._tokens([text[:READ] for text in texts[start : start + 256]]), start):
                if len(ids):
                    made[row] = self._table[ids].mean(axis=0, dtype=np.float32)
        # Of each row by itself: a reduction over the last axis, whose order numpy fixes by the row's width alone.
        length = np.sqrt((made * made).sum(axis=1, keepdims=True, dtype=np.float32))
        return made / np.where(length > 0, length, 1)


def embedder(model: OutsideModel | None = None) -> Embedder:
    """The embedding of a bound pointer, kept open; None: the offline one.

    Raises:
        UserError: its package is not installed, or what the pointer names holds no static embedding.
    """
    if model is None:
        return _wordllama()
    return _model2vec(str(model.local()), model.identity(), str(model))


@lru_cache(maxsize=1)
def _wordllama() -> Embedder:
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        what = "embeddings without a network need the package `wordllama`, which is not installed"
        raise UserError(what, hint="pip install 'rlhf-curation[embed]'")
    import numpy as np

    root = logging.root
    before, level, handlers = root.manager.disable, root.level, root.handlers[:]
    logging.disable(logging.CRITICAL)  # it talks about its files
    try:
        from wordllama import WordLlama

        # Weights and tokenizer lie in the package.
        model = WordLlama.load(cache_dir=Path(spec.submodule_search_locations[0]), disable_download=True)
    finally:
        logging.disable(before)
        root.setLevel(level)  # it sets up the root logger, which is not its to set
        root.handlers[:] = handlers
    model.tokenizer.no_padding()
    last = len(model.embedding) - 1

    def tokens(texts: list[str]) -> list[Any]:
        found = model.tokenizer.encode_batch(texts, is_pretokenized=False, add_special_tokens=False)
        return [np.minimum(np.array(f.ids, dtype=np.int64), last) for f in found]

    return Embedder(OFFLINE, model.embedding, tokens)


@lru_cache(maxsize=2)
def _model2vec(folder: str, digest: str, name: str) -> Embedder:
    if find_spec("model2vec") is None:
        what = f"the embedding {name} needs the package `model2vec`, which is not installed"
        raise UserError(what, hint="pip install 'rlhf-curation[embed]'")
    import numpy as np
    from model2vec import StaticModel

    try:
        model = StaticModel.from_pretrained(folder, max_length=None)
    except Exception as error:  # it raises whatever its files made it raise
        first = first_line(error)
        hint = "name a folder that `StaticModel.save_pretrained` wrote, or minishlab/potion-multilingual-128M"
        raise UserError(f"{name} holds no model2vec embedding: {first}", hint=hint) from error
    table = np.asarray(model.embedding, dtype=np.float32)
    if model.token_mapping is not None:
        table = table[model.token_mapping]
    if model.weights is not None:
        table = table * np.asarray(model.weights, dtype=np.float32)[:, None]
    return Embedder(name, table, model.tokenize)
