"""`rlhf doctor`: whether this machine is ready, and what it has: versions, cores, memory, device, disk, extras."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from rlhf.cli import flags

EXTRAS = {
    "label": ("argilla", "questions in the Argilla UI"),
    "ray": ("ray", "curation on a cluster"),
    "llamacpp": ("llama_cpp", "quantized GGUF files"),
    "quant": ("bitsandbytes", "4 and 8 bit training"),
}
"""Extra -> (a module it brings, what it is for)."""
_DISTRIBUTION = "rlhf-curation"
_LEAST_DISK_GB = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    state: str
    """`ok`, `note` (good to know), `wrong`."""
    text: str
    hint: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    parser.add_argument("--store", metavar="FOLDER", help="the store to look at (default: RLHF_STORE, .rlhf)")
    flags.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """0 when nothing is wrong, else 1."""
    from rlhf.cli.table import columns

    findings = [*_python(), *_packages(), *_machine(), *_device(), *_store(args.store), *_extras()]
    wrong = any(f.state == "wrong" for f in findings)
    if args.json:
        print(json.dumps({"ok": not wrong, "findings": [asdict(f) for f in findings]}, indent=1, ensure_ascii=False))
        return int(wrong)
    rows = [[f.what, f.state, f.text + (f"; {f.hint}" if f.hint else "")] for f in findings]
    print(columns(rows, colors={"ok": "green", "note": "yellow", "wrong": "red"}))
    return int(wrong)


def _python() -> list[Finding]:
    found = f"{platform.python_version()} on {platform.platform(terse=True)}, {sys.executable}"
    right = sys.version_info >= (3, 11)
    return [Finding("python", "ok" if right else "wrong", found, "" if right else "Python 3.11 or newer is needed")]


def _packages() -> list[Finding]:
    """What is installed against what this project asks for, and against the pins of a checkout."""
    try:
        asked = [r for r in requires(_DISTRIBUTION) or [] if "extra ==" not in r]
    except PackageNotFoundError:
        return [Finding("packages", "wrong", f"{_DISTRIBUTION} is not installed", "`make venv`, or pip install .")]
    wrong = [text for r in asked if (text := _unmet(r))]
    if wrong:
        return [Finding("packages", "wrong", "; ".join(wrong), f"pip install --upgrade {_DISTRIBUTION}")]
    pinned = _pins()
    moved = [f"{n} {_installed(n)} (tested with {v})" for n, v in pinned.items() if _installed(n) not in (None, v)]
    count = f"{len(asked)} required packages are installed"
    if moved:
        return [Finding("packages", "note", f"{count}; other versions than tested: {', '.join(moved)}", "`make venv`")]
    return [Finding("packages", "ok", count + (", in the tested versions" if pinned else ""))]


def _unmet(requirement: str) -> str | None:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    found = _installed(wanted.name)
    if found is None:
        return f"{wanted.name} is missing"
    return (
        None
        if wanted.specifier.contains(found, prereleases=True)
        else f"{wanted.name} {found}, needs {wanted.specifier}"
    )


def _pins() -> dict[str, str]:
    """Name -> version of a checkout's constraints.txt, for the packages that this project asks for by name."""
    file = Path(__file__).resolve().parents[2] / "constraints.txt"
    if not file.is_file():
        return {}
    asked = {re.split(r"[^A-Za-z0-9._-]", r)[0].lower().replace("_", "-") for r in requires(_DISTRIBUTION) or []}
    lines = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: pin for name, pin in lines if name.lower().replace("_", "-") in asked}


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def _machine() -> list[Finding]:
    import psutil

    from rlhf.recipe.child import available_cores

    cores, memory = available_cores(), psutil.virtual_memory()
    threads = os.environ.get("OMP_NUM_THREADS")
    pinned = f", OMP_NUM_THREADS={threads}" if threads else ""
    gb = memory.total / 1e9
    return [
        Finding("cores", "ok", f"{cores} of {os.cpu_count()} may be used{pinned}"),
        Finding(
            "memory",
            "ok" if gb >= 6 else "note",
            f"{gb:.1f} GB, {memory.available / 1e9:.1f} GB free",
            "" if gb >= 6 else "the quickstart needs 6 GB",
        ),
    ]


def _device() -> list[Finding]:
    """What torch would compute on; the one thing here that takes seconds."""
    try:
        from curation.models import has_bfloat16, numerics_class

        found = numerics_class("float32")
    except ImportError as error:
        return [Finding("device", "wrong", f"torch does not import: {error}", "`make venv`, or pip install torch")]
    instructions = f" ({found['cpu']})" if "cpu" in found else ""
    speed = "bfloat16 is fast here" if has_bfloat16() else "bfloat16 is computed in float32 here"
    text = f"{found['device']}{instructions}, {found['threads']} torch threads, {speed}"
    if found["device"] == "cpu":
        return [Finding("device", "ok", text)]
    return [Finding("device", "note", text, "this project's figures are from CPUs: on this device nothing is measured")]


def _store(given: str | None) -> list[Finding]:
    from curation.errors import UserError
    from rlhf.recipe.door import open_store
    from rlhf.recipe.headline import size
    from rlhf.recipe.profile import Profile

    try:
        place = Path(given or os.environ.get("RLHF_STORE") or ".rlhf").expanduser().absolute()
        if not place.exists():
            return [Finding("store", "ok", f"{place} (made by the first run)"), _disk(place.parent)]
        store = open_store(given, Profile())
    except UserError as error:
        return [Finding("store", "wrong", error.what, error.hint)]
    done = len(list((store.root / "manifests").glob("*.json")))
    held = sum(f.stat().st_size for f in store.root.rglob("*") if f.is_file())
    return [Finding("store", "ok", f"{store.root}, {done} finished steps, {size(held)}"), _disk(store.root)]


def _disk(place: Path) -> Finding:
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    little = free < _LEAST_DISK_GB
    return Finding(
        "disk", "note" if little else "ok", f"{free:.0f} GB free", "models and checkpoints need more" if little else ""
    )


def _extras() -> list[Finding]:
    return [
        Finding(f"extra {name}", "ok", f"installed, for {purpose}")
        if find_spec(module)
        else Finding(f"extra {name}", "note", f"not installed, for {purpose}", f"pip install '{_DISTRIBUTION}[{name}]'")
        for name, (module, purpose) in EXTRAS.items()
    ]
