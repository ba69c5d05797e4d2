"""Data sets on the Hugging Face Hub: the commit that a revision means now, and the files of a commit.

Only the file listing and the files are used, never code of a repository. Files go through the Hub's own cache, so that
a pinned data set that was read once is read again without a network. `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE`
work as usual.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.errors import UserError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?")


def is_commit(revision: str | None) -> bool:
    """A full commit hash, which will always mean the same files; a branch or a tag will not."""
    return revision is not None and bool(_COMMIT.fullmatch(revision))


def could_be_name(written: str) -> bool:
    """Whether a text has the form of a data set's name: `owner/name`."""
    return bool(_NAME.fullmatch(written)) and not written.startswith((".", "/"))


def commit(name: str, revision: str | None) -> str:
    """The commit that a branch or tag (None: the main branch) points at now.

    Raises:
        UserError: there is no such data set or revision, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi

    with _explained(name, revision):
        found = HfApi().dataset_info(name, revision=revision).sha
    if not is_commit(found):
        raise UserError(
            f"the Hub names no commit for {name}", hint="give one: `revision:`, from the history of its page"
        )
    return str(found)


def fetched(
    name: str, at: str, choose: Callable[[Sequence[str], Mapping[str, Any]], list[str]]
) -> list[tuple[str, Path]]:
    """(name, place on the disk) of the files of a commit that `choose` picks out of the listing and the card.

    Raises:
        UserError: as `commit`, and what `choose` raises.
    """
    from huggingface_hub import HfApi, hf_hub_download

    cached = _cached(name, at)
    with _explained(name, at):
        try:
            info = HfApi().dataset_info(name, revision=at)
        except Exception as error:
            if not (cached and _is_network(error)):
                raise
            return _from_cache(cached, choose)
        card: Mapping[str, Any] = vars(info.card_data) if info.card_data else {}
        picked = choose([s.rfilename for s in info.siblings or []], card)
        return [(f, Path(hf_hub_download(name, f, repo_type="dataset", revision=at))) for f in picked]


def _from_cache(
    folder: Path, choose: Callable[[Sequence[str], Mapping[str, Any]], list[str]]
) -> list[tuple[str, Path]]:
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return [(f, folder / f) for f in choose(names, card_of(folder))]


def _cached(name: str, at: str) -> Path | None:
    """Where the Hub's cache keeps files of this commit, if it has any."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "snapshots" / at
    return folder if folder.is_dir() else None


def card_of(folder: Path) -> Mapping[str, Any]:
    """The metadata at the top of a folder's README.md; empty when there is none."""
    readme = folder / "README.md"
    if not readme.is_file():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    match = re.match(r"\s*---\r?\n(.*?)\r?\n---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        found = YAML(typ="safe").load(match[1]) if match else None
    except YAMLError as error:
        raise UserError(f"the metadata in {readme} is no YAML", hint=str(error).splitlines()[0]) from error
    return found if isinstance(found, Mapping) else {}


def _is_network(error: Exception) -> bool:
    """Whether the Hub was not reached at all, or not able to answer."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code >= 500
    return isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError | OSError) or _is_transport(error)


def _is_transport(error: Exception) -> bool:
    """An error of the HTTP client that the Hub's library uses, which changes with its versions."""
    return any(base.__name__ in ("TransportError", "RequestException") for base in type(error).__mro__)


@contextmanager
def _explained(name: str, revision: str | None) -> Iterator[None]:
    """Turns the Hub's errors into ours."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except UserError:
        raise
    except GatedRepoError as error:
        hint = "accept its terms on the Hub and set HF_TOKEN"
        raise UserError(f"the data set {name} is gated", hint=hint) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"the data set {name} has no revision {revision!r}", hint="look at its commits on the Hub"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        hint = "a file is given by its path; a private data set needs HF_TOKEN"
        raise UserError(f"there is no data set {name!r} on the Hub, and no such file here", hint=hint) from error
    except EntryNotFoundError as error:
        raise UserError(f"a file of {name} is gone from the Hub", hint="name another `revision`") from error
    except HfHubHTTPError as error:
        raise UserError(f"the Hub did not give {name}: {error}", hint="try again later") from error
    except Exception as error:
        if not _is_network(error):
            raise
        hint = "check the network; with `revision: <full commit hash>` a data set that was read before needs none"
        raise UserError(f"the Hub cannot be reached for {name}: {error}", hint=hint) from error
