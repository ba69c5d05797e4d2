"""`rlhf chat`: talk to a model that a recipe made, or to any model folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags

if TYPE_CHECKING:
    from curation.models import Loaded, Talk

_HELP = "an empty line does nothing, /new begins a new chat, Ctrl-D ends"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    flags.add_recipe(parser)
    parser.add_argument("step", metavar="STEP", nargs="?", help="whose model (default: the last policy that was made)")
    parser.add_argument("--system", metavar="TEXT", help="what the model is told before everything else")
    parser.add_argument("--max-completion-length", type=int, default=512, metavar="N", help="tokens of an answer")
    parser.add_argument("--temperature", type=float, default=0.7, metavar="T", help="0: the likeliest token each time")
    parser.add_argument(
        "--top-p", type=float, default=0.95, metavar="P", help="draw from the likeliest that hold this much"
    )
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="draw from this many; 0: from all")
    parser.add_argument("--seed", type=int, default=42, metavar="N")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16", "auto"])
    flags.add_output(parser)
    parser.description = (
        "Talk to a model. RECIPE may also be an artifact's folder, a model's folder, or a .gguf file. "
        f"Lines from the standard input are what you say; {_HELP}."
    )


def run(args: argparse.Namespace) -> int:
    """Answers line by line until the input ends; 0."""
    from pydantic import ValidationError

    from curation.conversation import Message
    from curation.errors import RecipeError, UserError
    from curation.models import Sampling, Talk

    names = ("max_completion_length", "temperature", "top_p", "top_k", "seed")
    try:
        how = Sampling(**{name: getattr(args, name) for name in names})
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        raise RecipeError(f"--{flag}: {first['msg']}", hint="`rlhf chat --help` says what it takes") from error
    loaded = _load(args)
    asking = sys.stdin.isatty() and not args.json
    if asking:
        sys.stderr.write(f"{loaded.name}: {_HELP}\n")
    first_turn = [Message("system", args.system)] if args.system else []
    chat, talk = list(first_turn), Talk(loaded, how)
    while True:
        if asking:
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return 0
        said = line.strip()
        if not said:
            continue
        if said == "/new":
            chat = list(first_turn)
            continue
        chat.append(Message("user", said))
        try:
            text = _answer(talk, chat, as_json=args.json)
        except UserError as error:
            chat.pop()
            if not asking:
                raise
            sys.stderr.write(f"error: {error}\n")
            continue
        chat.append(Message("assistant", text))


def _answer(talk: Talk, chat: list[Any], *, as_json: bool) -> str:
    """Prints the answer as it comes; returns it."""
    text = ""
    for piece in talk.answer(chat):
        text += piece
        if not as_json:
            sys.stdout.write(piece)
            sys.stdout.flush()
    last = talk.last
    assert last is not None  # `answer` ran to its end
    if as_json:
        said = {"prompt": chat[-1].content, "answer": text, "finished": last.finished, "tokens": len(last.tokens)}
        sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n" if last.finished else " [...]\n")
    sys.stdout.flush()
    return text


def _load(args: argparse.Namespace) -> Loaded:
    """The model that the words on the command line mean.

    Raises:
        RecipeError: the recipe has no such step, or none that makes a policy.
        UserError: the step has made nothing yet, or the folder holds no model.
    """
    from curation.artifact import Policy, Surroundings, hash_file
    from curation.errors import RecipeError, UserError, did_you_mean
    from curation.models import OutsideModel, load_model, load_policy, pack, set_threads, use_device

    written = args.recipe
    if written.startswith("package:") or written.endswith(".gguf") or Path(written).expanduser().is_dir():
        from curation.models import bind_model

        use_device()
        folder = Path(written).expanduser()
        if folder.is_dir() and (folder / "lineage.json").exists():
            loaded = load_policy(folder, dtype=args.dtype, merge=True)
        else:
            source = bind_model(OutsideModel(written), None, Surroundings(Path.cwd(), hash_file))
            loaded = load_model(source, dtype=args.dtype, merge=True)
        pack(loaded.model)
        return loaded
    from rlhf.recipe.plan import plan

    recipe = flags.load(args)
    store = flags.open_store(args, recipe.profile)
    policies = {p.name: p for p in plan(recipe, store) if recipe.kinds[p.name] is Policy}
    if args.step and args.step not in policies:
        what = "makes no policy" if args.step in recipe.steps else "is not there"
        raise RecipeError(f"the step {args.step!r} of {recipe.name} {what}", hint=did_you_mean(args.step, policies))
    wanted = [policies[args.step]] if args.step else [p for p in policies.values() if p.digest and p.name != "base"]
    if not wanted or not wanted[-1].digest:
        name = args.step or recipe.name
        until = f" --until {args.step}" if args.step else ""
        raise UserError(f"{name} has made no model to talk to yet", hint=f"rlhf run {written}{until}")
    set_threads(recipe.profile.training.threads)
    use_device(recipe.profile.training.device)
    loaded = load_policy(store.artifact(wanted[-1].digest), dtype=args.dtype, merge=True)
    pack(loaded.model)
    return loaded
