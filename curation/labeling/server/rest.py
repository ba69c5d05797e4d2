"""What the commands ask a running server, over Argilla's own REST."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from curation.errors import UserError


def progress(url: str, api_key: str) -> list[dict[str, Any]]:
    """Each data set: name, workspace, records in all and completed."""
    workspaces = {w["id"]: w["name"] for w in _get(url, api_key, "me/workspaces")["items"]}
    found = []
    for dataset in _get(url, api_key, "me/datasets")["items"]:
        done = _get(url, api_key, f"datasets/{dataset['id']}/progress")
        counts = {"total": done.get("total") or 0, "completed": done.get("completed") or 0}
        found.append({"name": dataset["name"], "workspace": workspaces.get(dataset["workspace_id"], ""), **counts})
    return sorted(found, key=lambda d: (d["workspace"], d["name"]))


def _get(url: str, api_key: str, place: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/api/v1/{place}", headers={"X-Argilla-Api-Key": api_key})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise UserError(f"Argilla at {url} answers {error.code} to {place}", hint="is the API key right?") from error
    except (urllib.error.URLError, TimeoutError) as error:
        raise UserError(f"Argilla at {url} does not answer", hint="rlhf label status") from error
