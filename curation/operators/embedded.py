"""What operators share that compare rows by what they mean: the embedding, and which text of a row it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from curation.models.pointer import NamesModel, OutsideModel

if TYPE_CHECKING:
    import polars as pl

_COLUMNS = ("messages", "prompt", "answers", "chosen", "rejected")


class Embeds(NamesModel):
    """Settings that name an embedding."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"embedding_revision"})  # the pointer's digest holds the commit
    revision_field: ClassVar[str] = "embedding_revision"

    embedding: OutsideModel | None = None
    """Makes a vector of a text: a model2vec model on the Hub (`minishlab/potion-multilingual-128M` knows 101
    languages), or its folder. None: wordllama, which lies inside its package and needs no network, and knows English
    best. Needs the extra `embed`. Vectors cost little, so they are computed at every run."""
    embedding_revision: str | None = None
    """Commit, branch or tag of an embedding on the Hub; a full commit sha is looked up nowhere."""

    @property
    def embeds(self) -> bool:
        """Whether these settings need vectors at all."""
        return True

    def prepare(self) -> None:
        if self.embeds:
            self.embedder()

    def embedder(self) -> Any:
        """The embedding, open."""
        from curation.models.embedding import embedder

        return embedder(self.embedding)

    def vectors(self, frame: pl.DataFrame) -> Any:
        """(rows, width) float32 unit vectors."""
        return self.embedder()(texts(frame))

    def vector_column(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The vectors as the column `vector`."""
        import polars as pl

        dtype = pl.Array(pl.Float32, self.embedder().width)
        return pl.Series("vector", self.vectors(frame), dtype=dtype).to_frame()


def texts(frame: pl.DataFrame) -> list[str]:
    """The text of each row of any kind: the contents of all its messages, a line break between them."""
    import polars as pl

    from curation.models.embedding import READ

    columns = [c for c in _COLUMNS if c in frame.columns]
    contents = [pl.col(c).list.eval(pl.element().struct.field("content")).list.join("\n") for c in columns]
    joined = pl.concat_str(contents, separator="\n", ignore_nulls=True).fill_null("").str.slice(0, READ)
    return frame.select(joined.alias("text"))["text"].to_list()
