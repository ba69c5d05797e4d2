"""`rlhf label`: the Argilla server and its UI on this machine, from pip alone, and who may use it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags, label_import, label_people, label_pull, label_push

if TYPE_CHECKING:
    from curation.labeling.server.home import Home

PORT = 6900
PASSWORD = "RLHF_OWNER_PASSWORD"
_SHORTEST = 12
_APART = {"push": label_push, "pull": label_pull, "import": label_import}
_ABOUT = {
    "push": "put a file, or what a step made, before people, without a recipe for it",
    "pull": "take in what people said of it, and write a data set folder",
    "import": "read the labels of an Argilla data set that somebody else made",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    from curation.labeling.server.home import WORKSPACE

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    serve = actions.add_parser("serve", help="start the server, and stay until Ctrl-C")
    serve.add_argument("--port", type=int, default=PORT, help=f"default {PORT}")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help=f"address to listen at (default 127.0.0.1: this machine alone); any other needs a password in {PASSWORD}",
    )
    status = actions.add_parser("status", help="say where the server listens and how far each data set is")
    users = actions.add_parser("users", help="who may use the server").add_subparsers(
        dest="users", metavar="ACTION", required=True
    )
    add = users.add_parser("add", help="let someone in, with a password that is shown once")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=["annotator", "admin"], default="annotator", help="default: annotator")
    add.add_argument(
        "--workspace", metavar="NAME", default=WORKSPACE, help=f"whose data sets they see (default: {WORKSPACE})"
    )
    ls = users.add_parser("list", help="name everyone")
    people = actions.add_parser("people", help="say who is behind annotator1, annotator2 ... of artifacts and pages")
    label_people.arguments(people)
    backup = actions.add_parser("backup", help="copy everything, while the server runs")
    backup.add_argument("target", metavar="FOLDER", help="a folder that is new; rlhf label serve --home starts from it")
    for verb, module in _APART.items():
        module.arguments(actions.add_parser(verb, help=_ABOUT[verb], allow_abbrev=False))
    for action in (serve, status, add, ls, backup):
        action.add_argument(
            "--home", metavar="FOLDER", help="the server's folder (default: RLHF_LABEL_HOME, else argilla in the store)"
        )
        flags.add_output(action)


def run(args: argparse.Namespace) -> int:
    """Does one of them."""
    from curation.labeling.server.home import Home

    if args.action == "people":
        return label_people.run(args)
    if args.action in _APART:
        return _APART[args.action].run(args)
    home = Home(_folder(args.home))
    if args.action == "users":
        return {"add": _add, "list": _list}[args.users](args, home)
    return {"serve": _serve, "status": _status, "backup": _backup}[args.action](args, home)


def _folder(given: str | None) -> Path:
    from rlhf.recipe.door import open_store
    from rlhf.recipe.profile import Profile

    if chosen := given or os.environ.get("RLHF_LABEL_HOME"):
        return Path(chosen)
    return open_store(None, Profile()).root / "argilla"


def _serve(args: argparse.Namespace, home: Home) -> int:
    from curation.errors import RecipeError, UserError
    from curation.labeling.server import environment, serve

    chosen = os.environ.get(PASSWORD) or None
    if chosen and len(chosen) < _SHORTEST:
        raise RecipeError(f"the password in {PASSWORD} is short", hint=f"take {_SHORTEST} characters or more")
    if not chosen and not serve.is_loopback(args.host):
        hint = f"export {PASSWORD}=... (at least {_SHORTEST} characters), and put TLS in front of it"
        raise RecipeError(f"{args.host} can be reached by others: choose a password of your own", hint=hint)
    if running := home.running():
        raise UserError(f"a server runs already at {running.url}", hint="rlhf label status says what is there")
    serve.free(args.host, args.port)
    said = sys.stderr if args.json else sys.stdout
    if environment.python() is None:
        print("installing Argilla's server, once for all (two minutes, 600 MB)", file=said, flush=True)
    python = environment.make()
    started = time.monotonic()
    owner, new = serve.prepared(python, home, chosen)
    process = serve.start(python, home, args.host, args.port)
    signal.signal(signal.SIGTERM, _interrupt)
    url = serve.url_of(args.host, args.port)
    try:
        serve.wait(process, home, url)
        if args.json:
            print(json.dumps({"url": url, "username": owner.username, "home": str(home.folder)}), flush=True)
        else:
            print(_ready(url, time.monotonic() - started, home, new, chosen is not None), flush=True)
        code = process.wait()
    except KeyboardInterrupt:
        serve.stop(process)
        return 0
    finally:
        if process.poll() is None:
            serve.stop(process)
        home.stopped(process.pid)
    raise UserError(f"the server ended by itself (code {code})", hint=f"its log: {home.log}; every answer is kept")


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _ready(url: str, seconds: float, home: Home, new: bool, chosen: bool) -> str:
    owner = home.owner()
    assert owner is not None  # it was prepared before
    password = f"the one in {PASSWORD}" if chosen else owner.password if new else "as before"
    key = owner.api_key if new else "as before"
    lines = [
        f"Argilla is ready at {url} ({seconds:.0f} s)",
        f"  user      {owner.username}",
        f"  password  {password}",
        f"  API key   {key}",
    ]
    if new:
        lines.append(f"shown this once, and kept in {home.folder / 'owner.json'}, which nobody else can read")
    lines.append("`rlhf label users add NAME` lets someone else in; Ctrl-C stops the server and loses nothing")
    return "\n".join(lines)


def _status(args: argparse.Namespace, home: Home) -> int:
    from curation.labeling.server import rest
    from rlhf.cli.table import columns

    running, owner = home.running(), home.owner()
    if running is None or owner is None:
        if args.json:
            print(json.dumps({"running": False, "home": str(home.folder)}))
        else:
            print(f"no server runs from {home.folder}; rlhf label serve starts one")
        return 1
    found = rest.progress(running.url, owner.api_key)
    if args.json:
        print(json.dumps({"running": True, "url": running.url, "home": str(home.folder), "datasets": found}, indent=1))
        return 0
    print(f"Argilla at {running.url}, process {running.pid}, from {home.folder}")
    rows = [[d["name"], d["workspace"], f"{d['completed']:,} of {d['total']:,}"] for d in found]
    print(columns(rows, ["data set", "workspace", "completed"]) if rows else "no data sets yet")
    return 0


def _add(args: argparse.Namespace, home: Home) -> int:
    from curation.labeling.server import serve
    from curation.labeling.server.home import password

    given = {"username": args.name, "role": args.role, "workspace": args.workspace, "password": password()}
    serve.admin(_python(home), home, "users-add", given)
    if args.json:
        print(json.dumps(given))
    else:
        print(f"{args.name} may log in with the password {given['password']} (shown this once)")
    return 0


def _list(args: argparse.Namespace, home: Home) -> int:
    from curation.labeling.server import serve
    from rlhf.cli.table import columns

    users = serve.admin(_python(home), home, "users-list", {})["users"]
    if args.json:
        print(json.dumps({"users": users}, indent=1))
    else:
        rows = [[u["username"], u["role"], ", ".join(u["workspaces"])] for u in users]
        print(columns(rows, ["user", "role", "workspaces"]))
    return 0


def _backup(args: argparse.Namespace, home: Home) -> int:
    from curation.labeling.server.home import backup

    size = backup(home, Path(args.target))
    print(json.dumps({"path": args.target, "bytes": size}) if args.json else f"{args.target}: {size / 1e6:.1f} MB")
    return 0


def _python(home: Home) -> Path:
    """The server's interpreter.

    Raises:
        UserError: there is no server yet.
    """
    from curation.errors import UserError
    from curation.labeling.server import environment

    python = environment.python()
    if python is None or not home.database.exists():
        raise UserError(f"there is no labeling server in {home.folder}", hint="rlhf label serve makes one")
    return python
