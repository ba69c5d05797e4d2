"""A model that no step of the recipe made: `model_name_or_path`, tied to its content before anything runs.

Three things may be named: a folder (as `save_pretrained` leaves it), a GGUF file, and a model on the Hub. A folder and
a file are known by the sha256 of what they hold. The Hub is known by commit: a full sha in `model_revision` is the
digest without a request, a branch or a tag (or none: `main`) is looked up.

From outside only safetensors are read. A `pytorch_model.bin` is a pickle, and opening a pickle runs what is in it.
"""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path
from typing import Any, ClassVar

from curation.artifact import Bound, Surroundings
from curation.errors import UserError
from curation.settings import Settings

DEQUANTIZE_REVISION = 1
"""Raised when reading the same GGUF file would give other weights or another tokenizer."""
MODEL_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken")
"""Of the files that say what a model does."""
_SHA = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json", "vocab.txt")


class OutsideModel(Bound):
    """A folder of safetensors, a GGUF file, or a Hub id. `path` is None for the Hub; then `digest` is the commit."""

    @classmethod
    def what(cls, kinds: tuple[Any, ...]) -> str:
        return "a model: a folder, a .gguf file (package:NAME/FILE.gguf too), or a name on the Hub"

    def local(self, *, trust_remote_code: bool = False, weights: bool = True) -> Path:
        """The folder or GGUF file; a Hub model is downloaded into the Hub's cache, once.

        Args:
            weights: False: config, tokenizer and chat template are enough, and weights are not downloaded.

        Raises:
            UserError: it cannot be had, or what came is no model that may be read.
        """
        if self.path is not None:
            return self.path
        folder = _download(self.written, self.identity(), trust_remote_code, weights)
        check_folder(folder, self.written, weights)
        return folder


class NamesModel(Settings):
    """Settings that name a model from outside."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"model_revision"})  # the pointer's digest holds the commit
    revision_field: ClassVar[str] = "model_revision"
    """Which setting names the commit, branch or tag of a model on the Hub."""
    asks_model: ClassVar[bool] = True
    """Whether the model itself is asked; else its tokenizer is enough."""

    def bind_pointer(self, name: str, pointer: Bound, around: Surroundings) -> Bound:
        """Ties the model to its content; other pointers as usual."""
        if isinstance(pointer, OutsideModel):
            return bind_model(pointer, getattr(self, self.revision_field, None), around)
        path = around.locate(pointer.written)
        return pointer.bound(path, around.hash_file(path))


def bind_model(pointer: OutsideModel, revision: str | None, around: Surroundings) -> OutsideModel:
    """The pointer with its place and digest.

    Raises:
        UserError: nothing is there, it is no model, or the Hub cannot be asked.
    """
    written = pointer.written
    if not _is_local(written, around.here):
        return OutsideModel(written, None, commit(written, revision) if around.online else "unread")
    path = around.locate(written)
    if path.is_dir():
        check_folder(path, written)
        files = sorted(p for p in path.iterdir() if p.suffix in MODEL_SUFFIXES)
        return pointer.bound(path, _digest(*(f"{p.name} {around.hash_file(p)}" for p in files)))
    if path.suffix != ".gguf":
        raise UserError(f"{written} is no model", hint="name the folder that holds config.json, or a .gguf file")
    with path.open("rb") as f:
        if f.read(4) != b"GGUF":
            raise UserError(f"{written} is no GGUF file", hint="was it downloaded whole? (a Git LFS pointer is text)")
    return pointer.bound(path, _digest("gguf", str(DEQUANTIZE_REVISION), around.hash_file(path)))


def _digest(*lines: str) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _is_local(written: str, here: Path) -> bool:
    if written.startswith(("package:", "/", "~", "./", "../")) or written.endswith(".gguf"):
        return True
    return (here / written).exists() or not _HUB_ID.fullmatch(written)


def check_folder(folder: Path, written: str, weights: bool = True) -> None:
    """Says what is missing for a folder to be a model that may be read.

    Args:
        weights: False: its tokenizer alone is wanted.

    Raises:
        UserError: it has no config, no safetensors or no tokenizer, or is an adapter.
    """
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            what, hint = "is an adapter without its base", "merge it into its base first, and name the merged folder"
        elif found := sorted(folder.glob("*.gguf")):
            what, hint = "holds GGUF files", f"name one of them: {written.rstrip('/')}/{found[0].name}"
        else:
            what, hint = "is no model folder: it has no config.json", "name the folder that `save_pretrained` wrote"
        raise UserError(f"{written} {what}", hint=hint)
    if weights and not any(folder.glob("*.safetensors")):
        pickles = sorted(p.name for pattern in _PICKLES for p in folder.glob(pattern))
        if pickles:
            raise UserError(
                f"{written} holds its weights as a pickle ({pickles[0]}), and opening a pickle runs what is in it",
                hint="only safetensors are read from outside: convert it where you trust it, by "
                "`AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)`",
            )
        raise UserError(
            f"{written} holds no weights (*.safetensors)",
            hint="was it copied whole? A base with `weights: false` can only count tokens",
        )
    if not any((folder / name).exists() for name in _TOKENIZERS):
        raise UserError(
            f"{written} has no tokenizer ({', '.join(_TOKENIZERS[:3])} ...)",
            hint="copy the tokenizer's files of the model that it was trained from into the folder",
        )


def commit(name: str, revision: str | None) -> str:
    """The commit that a revision of a Hub model means. A full sha is taken at its word, without a request.

    Raises:
        UserError: there is no such model or revision, or the Hub cannot be reached.
    """
    if revision and _SHA.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    wanted = revision or "main"
    try:
        found = HfApi().model_info(name, revision=wanted, timeout=20).sha
    except Exception as error:
        raise _hub_error(name, wanted, error) from error
    if not found:
        raise UserError(f"the Hub names no commit for {name} at {wanted!r}", hint="set model_revision to a full sha")
    return found


def _download(name: str, sha: str, trust_remote_code: bool, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    suffixes = [s for s in MODEL_SUFFIXES if weights or s != ".safetensors"]
    wanted = [f"*{suffix}" for suffix in suffixes] + (["*.py"] if trust_remote_code else [])
    try:
        return Path(snapshot_download(name, revision=sha, allow_patterns=wanted, ignore_patterns=["*/*"]))
    except Exception as error:
        raise _hub_error(name, sha, error) from error


def _hub_error(name: str, revision: str, error: Exception) -> UserError:
    """What went wrong at the Hub, and what to do about it."""
    from huggingface_hub import errors

    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise error
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{name} is gated on the Hub", hint="accept its terms on its page, and log in with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{name} has no revision {revision!r}", hint="look at its commits on the Hub")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return UserError(
            f"there is no model {name} on the Hub, and no such folder or file beside the recipe",
            hint="check the name; for a private one log in with `hf auth login`",
        )
    return UserError(
        f"the Hub cannot be reached for {name} ({type(error).__name__})",
        hint="without a network: name a local folder or a .gguf file, or a model that is in the Hub's cache with "
        "model_revision set to its full commit sha",
    )
