"""`rlhf chat`: talk to a model that a recipe made, or to any model folder.

The policies of a recipe that stand on one base are in memory together, as that base and their adapters, so that
`/adapter NAME` goes from one to another in the middle of a chat and nothing is loaded again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf.cli import flags
from rlhf.cli.table import colored, columns

if TYPE_CHECKING:
    from curation.models import Loaded, Swapping, Talk

_HELP = "/new begins a new chat, /help lists all commands, Ctrl-D ends"
_COMMAND = re.compile(r"/[a-z]+( .*)?")
_COMMANDS = {
    "/new": "begin a new chat",
    "/adapter NAME": "let this policy go on with the chat; without a name: list them",
    "/base": "let the base go on, without any adapter",
    "/help": "this list",
}


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
        f"Lines from the standard input are what you say; {_HELP}. Policies of a recipe on one base are in memory "
        "together: /adapter NAME switches."
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
    loaded, swapping = _load(args)
    asking = sys.stdin.isatty() and not args.json
    first_turn = [Message("system", args.system)] if args.system else []
    chat, talk = list(first_turn), Talk(loaded, how)
    if asking:
        _say(_about(loaded, swapping) + f"\n{_HELP}")
    while True:
        if asking:
            _prompt(swapping)
        line = sys.stdin.readline()
        if not line:
            return 0
        said = line.strip()
        if not said:
            continue
        try:
            if _COMMAND.fullmatch(said):
                word, _, name = said.partition(" ")
                if word == "/new":
                    chat = list(first_turn)
                elif switched := _obey(word, name.strip(), swapping):
                    talk = Talk(switched, how)  # what the other one remembers of the chat is of no use to it
                continue
            chat.append(Message("user", said))
            text = _answer(talk, chat, swapping, as_json=args.json)
        except UserError as error:
            if chat and chat[-1].role == "user":
                chat.pop()
            if not asking:
                raise
            _say(f"error: {error}")
            continue
        chat.append(Message("assistant", text))


def _obey(word: str, name: str, swapping: Swapping | None) -> Loaded | None:
    """Does what a command says; the policy that goes on, where it is another one now.

    Raises:
        UserError: there is no such command or no such policy.
    """
    from curation.errors import UserError, did_you_mean

    if word == "/help":
        _say(columns([list(item) for item in _COMMANDS.items()]))
        return None
    if word not in ("/adapter", "/base"):
        raise UserError(f"there is no command {word}", hint=did_you_mean(word, [c.split()[0] for c in _COMMANDS]))
    if swapping is None:
        raise UserError(
            "this model is alone in memory", hint="`rlhf chat RECIPE` brings the policies of a recipe along"
        )
    if word == "/adapter" and not name:
        _say(_listed(swapping))
        return None
    return swapping.use(swapping.base if word == "/base" else name)


def _listed(swapping: Swapping) -> str:
    """The policies, each with what it consists of, the one that is on marked."""
    rows = []
    for name in swapping.folders:
        what = swapping.refused.get(name) or " + ".join(swapping.stack(name))
        rows.append(["*" if name == swapping.active else "", name, what])
    rows += [["", name, why] for name, why in sorted(swapping.refused.items()) if name not in swapping.folders]
    return columns(rows, ["", "policy", "consists of"], {"*": "green"})


def _about(loaded: Loaded, swapping: Swapping | None) -> str:
    return loaded.name if swapping is None else _listed(swapping)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _prompt(swapping: Swapping | None) -> None:
    name = f"{swapping.active} " if swapping else ""
    sys.stderr.write(colored(f"{name}> ", "cyan"))
    sys.stderr.flush()


def _answer(talk: Talk, chat: list[Any], swapping: Swapping | None, *, as_json: bool) -> str:
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
        if swapping is not None:
            said = {"policy": swapping.active, **said}
        sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n" if last.finished else " [...]\n")
    sys.stdout.flush()
    return text


def _load(args: argparse.Namespace) -> tuple[Loaded, Swapping | None]:
    """The model that the words on the command line mean, and the others that can be switched to.

    Raises:
        RecipeError: the recipe has no such step, or none that makes a policy.
        UserError: the step has made nothing yet, or the folder holds no model.
    """
    from curation.artifact import Policy, Surroundings, hash_file
    from curation.errors import RecipeError, UserError, did_you_mean
    from curation.models import OutsideModel, Swapping, can_swap, load_model, load_policy, pack, set_threads, use_device

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
        return loaded, None
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
    made = {name: store.artifact(p.digest) for name, p in policies.items() if p.digest}
    first = wanted[-1].name
    if can_swap(made[first]):
        swapping = Swapping(made, first, dtype=args.dtype)
        return swapping.loaded, swapping
    loaded = load_policy(made[first], dtype=args.dtype, merge=True)
    pack(loaded.model)
    return loaded, None
