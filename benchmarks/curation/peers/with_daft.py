"""Daft: the slice on its native runner; components by scipy, as Daft's own MinHash example does them by union-find.

python with_daft.py chats.jsonl FOLDER THREADS
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REQUIRES = ["daft==0.7.26", "scipy", "numpy"]

REFUSAL = (
    r"(?i)as an ai language model|i'm sorry, but i can|i cannot (?:assist|help)|i apologize, but i am unable"
    r"|against my guidelines"
)
BANDS, ROWS = 16, 8


def main(given: str, folder: str, threads: str) -> None:
    os.environ["DAFT_PROGRESS_BAR"] = "0"
    os.environ["RAYON_NUM_THREADS"] = threads
    import daft
    import numpy as np
    from daft import col
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    daft.set_runner_native(int(threads))
    out = Path(folder)
    turns = daft.DataType.list(daft.DataType.struct({"from": daft.DataType.string(), "value": daft.DataType.string()}))
    chats = daft.read_json(given, schema={"id": daft.DataType.string(), "conversations": turns})

    @daft.func.batch(return_dtype=daft.DataType.string())
    def text(conversations: daft.Series) -> list[str]:
        """The turns' texts, where the roles alternate and a person begins; else nothing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        array = conversations.to_arrow()
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        flat = array.flatten()
        values = pa.LargeListArray.from_arrays(
            array.offsets.cast(pa.int64()), flat.field("value").cast(pa.large_string())
        )
        human = pc.equal(flat.field("from"), "human").to_numpy(zero_copy_only=False)
        offsets = np.asarray(array.offsets)
        place = np.arange(len(human)) - np.repeat(offsets[:-1], np.diff(offsets))
        wrong = np.add.reduceat((human != (place % 2 == 0)).astype(np.int64), offsets[:-1])
        joined = pc.binary_join(values, pa.scalar("\n", pa.large_string()))
        return pc.if_else(pa.array(wrong == 0), joined, pa.scalar(None, pa.large_string()))

    rows = chats.with_column("text", text(col("conversations")))
    size = col("text").length()
    rows = rows.where(
        col("text").not_null() & (size >= 100) & (size <= 100_000) & ~col("text").regexp(REFUSAL)
    ).collect()
    plain = col("text").lower().regexp_replace(r"\s+", " ")
    signed = rows.select(
        col("id"), plain.hash().alias("exact"), plain.minhash(num_hashes=BANDS * ROWS, ngram_size=5).alias("sketch")
    ).to_arrow()
    ids = signed["id"].to_numpy(zero_copy_only=False)
    order = np.argsort(ids.astype(str))
    _, first = np.unique(signed["exact"].to_numpy()[order], return_index=True)
    keep = order[np.sort(first)]
    flat = signed["sketch"].combine_chunks().flatten()
    sketches = np.asarray(flat).reshape(-1, BANDS, ROWS)[keep]
    edges = []
    for band in range(BANDS):
        keys = np.ascontiguousarray(sketches[:, band]).view(np.dtype((np.void, ROWS * sketches.itemsize))).ravel()
        _, start, same = np.unique(keys, return_index=True, return_inverse=True)
        edges.append(np.stack([np.arange(len(keep)), start[same]]))
    pairs = np.concatenate(edges, axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    graph = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(len(keep), len(keep)))
    _, stays = np.unique(connected_components(graph, directed=False)[1], return_index=True)
    kept = ids[keep[stays]]
    rows.where(col("id").is_in(kept.tolist())).select("id", "conversations").write_parquet(str(out / "kept"))
    (out / "ids.txt").write_text("\n".join(kept.tolist()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
