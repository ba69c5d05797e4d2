"""A data set that a run made, as a folder of its own: written under another name, and there when all of it is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlhf.recipe.load import LoadedRecipe
    from rlhf.recipe.run import RunResult
    from rlhf.recipe.store import Store


def refuse_others(out: Path) -> None:
    """Raises where the folder holds something that was not made by such a command.

    Raises:
        RecipeError: it does, or is a file.
    """
    from curation.errors import RecipeError

    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() and not (out / "curation.json").is_file():
        what = "is a file" if out.is_file() else "holds something else"
        raise RecipeError(f"{out} {what}", hint="give --out a folder that is new or empty")


def release(out: Path, store: Store, result: RunResult, loaded: LoadedRecipe, step: str) -> dict[str, Any]:
    """Writes what a step made; returns what `curation.json` holds.

    Raises:
        UserError: the disk is full.
    """
    from curation.errors import UserError, disk_is_full
    from rlhf.evaluation.ancestry import ancestors
    from rlhf.export import dataset

    manifests = {name: m.model_dump(mode="json") for name, m in result.manifests.items()}
    made = result.manifests[step].output
    place = Path(os.path.abspath(out))
    part, old = (place.with_name(f".{place.name}.{what}") for what in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        behind = ancestors([made.digest], manifests)
        folder = store.artifact(made.digest)
        facts = dataset.write(part, folder, None, behind, folder.parent, loaded.name)
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(place, old)
        os.rename(part, place)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:
        if not disk_is_full(error):
            raise
        hint = "free some space and run again: the rows are made, and only the folder is to be written"
        raise UserError(f"the disk that holds {out} is full", hint=hint) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return facts
