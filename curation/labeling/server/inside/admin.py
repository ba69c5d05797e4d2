"""`python -m inside.admin JOB`: what is done to the database itself. Takes and gives one JSON object.

A job that cannot be done gives `{"error": ..., "hint": ...}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from typing import Any

from argilla_server.contexts import accounts
from argilla_server.database import AsyncSessionLocal, async_engine
from argilla_server.enums import UserRole
from argilla_server.errors.future import NotUniqueError
from argilla_server.models import Workspace, WorkspaceUser

from .engine import database

Job = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


async def prepare(given: Mapping[str, Any]) -> dict[str, Any]:
    """The owner and the first workspace, as they are written down."""
    async with AsyncSessionLocal() as db:
        await _workspace(db, given["workspace"])
        owner = await accounts.get_user_by_username(db, given["username"])
        if owner is not None:
            if not await accounts.authenticate_user(db, given["username"], given["password"]):
                await accounts.update_user(db, owner, {"password": given["password"]})
        else:
            person = {"username": given["username"], "first_name": "Owner", "last_name": "", "role": UserRole.owner}
            owner = await accounts.create_user(db, {**person, "password": given["password"]}, [given["workspace"]])
            owner.api_key = given["api_key"]
            await db.commit()
    return {}


async def add_user(given: Mapping[str, Any]) -> dict[str, Any]:
    """Someone who answers, or one who may also make data sets."""
    async with AsyncSessionLocal() as db:
        await _workspace(db, given["workspace"])
        person = {"username": given["username"], "first_name": given["username"], "last_name": ""}
        try:
            user = await accounts.create_user(
                db,
                {**person, "role": UserRole(given["role"]), "password": given["password"]},
                [given["workspace"]],
            )
        except NotUniqueError:
            return {
                "error": f"there is a user {given['username']!r} already",
                "hint": "rlhf label users list shows all",
            }
        return {"username": user.username, "api_key": user.api_key}


async def list_users(given: Mapping[str, Any]) -> dict[str, Any]:
    """Everyone, without a secret."""
    async with AsyncSessionLocal() as db:
        users = await accounts.list_users(db)
        return {
            "users": [
                {"username": u.username, "role": u.role.value, "workspaces": [w.name for w in u.workspaces]}
                for u in users
            ]
        }


async def _workspace(db: Any, name: str) -> None:
    if await Workspace.get_by(db, name=name) is None:
        workspace = await accounts.create_workspace(db, {"name": name})
        owners = [u for u in await accounts.list_users(db) if u.role == UserRole.owner]
        for owner in owners:
            await WorkspaceUser.create(db, workspace_id=workspace.id, user_id=owner.id)


JOBS: dict[str, Job] = {"prepare": prepare, "users-add": add_user, "users-list": list_users}


def migrate() -> None:
    """The tables of this version, in a database whose readers never wait for its writer."""
    from argilla_server.cli.database.migrate import migrate_db

    migrate_db("head")
    with closing(sqlite3.connect(database(), timeout=30)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # stays with the file


async def _run(job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return await job(given)
    finally:
        await async_engine.dispose()


def main(name: str) -> None:
    """Reads what is given, does the job, prints what it gives."""
    given = json.load(sys.stdin)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # migrations print
        if name == "prepare":
            migrate()
        answer = asyncio.run(_run(JOBS[name], given))
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
