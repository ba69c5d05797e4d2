"""What the commands ask a running server."""

from __future__ import annotations

from typing import Any

from curation.labeling.argilla import Connection, Server
from curation.labeling.server.home import WORKSPACE


def progress(url: str, api_key: str) -> list[dict[str, Any]]:
    """Each data set: name, workspace, records in all and completed."""
    connection = Connection(Server(url, WORKSPACE, api_key))
    workspaces = {w["id"]: w["name"] for w in connection.ask("GET", "me/workspaces")["items"]}
    found = []
    for dataset in connection.ask("GET", "me/datasets")["items"]:
        done = connection.ask("GET", f"datasets/{dataset['id']}/progress")
        counts = {"total": done.get("total") or 0, "completed": done.get("completed") or 0}
        found.append({"name": dataset["name"], "workspace": workspaces.get(dataset["workspace_id"], ""), **counts})
    return sorted(found, key=lambda d: (d["workspace"], d["name"]))
