"""`pretrain`: a model from nothing, that comes out the same everywhere and has learned the shape of a chat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curation import table
from curation.artifact import Conversations, Policy, Ref
from curation.conversation import Conversation, Message
from curation.errors import UserError
from curation.models import Sampling, ask, generate, load_policy
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Done, Room
from rlhf.steps.pretrain import Pretrain

SMALL = {"vocab_size": 300, "hidden_size": 32, "num_attention_heads": 2, "max_length": 64}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain") / "data"
    words = "door box car boat tent lamp book shirt".split()
    chats = [
        Conversation(messages=(Message("user", f"Open the {w} {i}."), Message("assistant", f"The {w} is open.")))
        for i in range(5)
        for w in words
    ]
    table.write_rows(folder, chats, Conversation)
    return folder


def run(data: Path, out: Path, **settings: object) -> Done:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    step = Pretrain(data=[Ref("chats", accepts=(Conversations,)).bound(data, "d")], **{**SMALL, **settings})
    return step.run(Room(work=out.parent, out=out, profile=Profile.model_validate({"training": {"threads": 1}})))


AGAIN = """
import sys
from pathlib import Path
from curation.artifact import Conversations, Policy, Ref
from rlhf.recipe.identity import artifact_digest
from rlhf.recipe.profile import Profile
from rlhf.recipe.step import Room
from rlhf.steps.pretrain import Pretrain
data, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
step = Pretrain(data=[Ref("chats", accepts=(Conversations,)).bound(data, "d")], max_steps=8, **eval(sys.argv[3]))
step.run(Room(work=out, out=out, profile=Profile.model_validate({"training": {"threads": 1}})))
print(artifact_digest(Policy, out))
"""


def test_another_process_makes_the_same_bytes(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "one", max_steps=8)
    wanted = artifact_digest(Policy, tmp_path / "one")
    env = {**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", AGAIN, str(data), str(tmp_path / "two"), repr(SMALL)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == wanted
    run(data, tmp_path / "three", max_steps=8, seed=1)
    assert artifact_digest(Policy, tmp_path / "three") != wanted


def test_it_learns_to_take_its_turn_and_to_end_it(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path / "out", max_steps=150)
    assert done.metrics["loss_last"] < done.metrics["loss_first"] / 4
    loaded = load_policy(tmp_path / "out")
    requests, _ = ask(loaded, [Conversation(messages=(Message("user", "Open the lamp 3."),))])
    (answer,) = generate(loaded, requests, Sampling(temperature=0, max_completion_length=24))
    assert answer.finished
    assert answer.text.startswith("The ") and answer.text.endswith(" is open.")


def test_every_byte_has_a_token_and_the_template_marks_what_is_learned(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out", max_steps=1)
    loaded = load_policy(tmp_path / "out")
    text = "Größe \u4f60\u597d \U0001f600\n\t"
    assert loaded.tokenizer.decode(loaded.tokenizer(text)["input_ids"]) == text
    chat = [Message("user", "Hi"), Message("assistant", "The door.")]
    encoded = loaded.template.encode(chat)
    assert loaded.template.marked
    learned = [i for i, marked in zip(encoded.ids, encoded.mask, strict=True) if marked]
    assert loaded.tokenizer.decode(learned) == "The door.<|im_end|>"


def test_no_chat_is_an_error(tmp_path: Path) -> None:
    table.write_rows(tmp_path / "data", [], Conversation)
    with pytest.raises(UserError, match="no chat to learn from"):
        run(tmp_path / "data", tmp_path / "out")


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 2 x"):
        Pretrain(data=["chats"], hidden_size=36, num_attention_heads=4)


PACKED = {"packing": True, "max_length": 32, "global_batch_size": 4, "parametrization": "mup", "mup_base_width": 16}


def test_the_weights_are_counted_before_there_is_a_model(data: Path, tmp_path: Path) -> None:
    settings: dict[str, object] = {"num_hidden_layers": 3, "intermediate_size": 48, "max_steps": 1}
    done = run(data, tmp_path / "out", **settings)
    step = Pretrain(data=["chats"], **{**SMALL, **settings})
    assert done.metrics["parameters"] == step.parameters(done.metrics["vocabulary"])
    assert done.metrics["parameters"] == load_policy(tmp_path / "out").model.num_parameters()


def test_tokens_a_parameter_say_how_long(data: Path, tmp_path: Path) -> None:
    """Half a token a weight, at 4 rows of 32 tokens a step."""
    done = run(data, tmp_path / "out", **PACKED, tokens_per_parameter=0.5)
    size = done.metrics["parameters"]
    assert done.metrics["steps"] == -(-size // 2 // 128)
    assert done.metrics["trained_tokens"] == done.metrics["steps"] * 128
    assert done.metrics["tokens_per_parameter"] == pytest.approx(0.5, rel=0.02)
    assert done.metrics["compute_optimal_tokens"] == 20 * size
    assert done.metrics["loss_last"] < done.metrics["loss_first"] / 2


def test_the_plan_says_how_much_is_worth_reading() -> None:
    """A Llama of 16 by hand: 300 x 16 for the tokens, a layer of 2 x 16 x 16 for queries and outputs, 2 x 16 x 8 for
    keys and values, 3 x 16 x 32, and 2 norms, and a norm at the end."""
    (said,) = Pretrain(data=["chats"], **{**SMALL, "hidden_size": 16, "num_hidden_layers": 1}).outlook()
    size = 300 * 16 + 2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32 + 2 * 16 + 16
    assert said.startswith(f"{size:,} weights")
    assert f"compute-optimal are {20 * size:,} tokens" in said


def test_packing_loses_no_token_and_pads_none(data: Path, tmp_path: Path) -> None:
    from curation.frame import to_rows
    from rlhf.training.columns import training_rows
    from rlhf.training.pretrain import Packed, _tokens

    run(data, tmp_path / "out", **PACKED, max_steps=1)
    tokenizer = load_policy(tmp_path / "out").tokenizer
    frame = training_rows([Ref("chats", accepts=(Conversations,)).bound(data, "d")])
    whole = [
        token
        for row in to_rows(frame)
        for token in tokenizer.apply_chat_template([m.to_dict() for m in row.messages], tokenize=True)["input_ids"]
    ]
    rows = Packed(_tokens(frame, tokenizer, tmp_path / "tokens.bin"), 32)
    assert len(rows) == len(whole) // 32
    assert [token for row in rows for token in row] == whole[: len(rows) * 32]


def test_a_model_of_mup_is_loaded_and_talks_like_any_other(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path / "out", **PACKED, learning_rate=1e-2, max_steps=200)
    assert done.metrics["loss_last"] < done.metrics["loss_first"] / 4
    loaded = load_policy(tmp_path / "out")
    assert loaded.model.config.model_type == "granite"
    assert loaded.model.config.logits_scaling == 32 / 16
    requests, _ = ask(loaded, [Conversation(messages=(Message("user", "Open the lamp 3."),))])
    (answer,) = generate(loaded, requests, Sampling(temperature=0, max_completion_length=24))
    assert answer.text.endswith(" is open.")


KILLED = """
import os, signal, sys
from pathlib import Path
from rlhf.training import pretrain
write = pretrain.Saved.write
def then_die(self, state):
    write(self, state)
    if len(state["losses"]) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
pretrain.Saved.write = then_die
sys.path.insert(0, sys.argv[1])
from test_pretrain import resumable
resumable(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
"""


def resumable(data: Path, work: Path, out: Path) -> str:
    """The digest of a short run with a checkpoint at every third step."""
    for folder in (work, out):
        folder.mkdir(exist_ok=True)
    step = Pretrain(
        data=[Ref("chats", accepts=(Conversations,)).bound(data, "d")], **{**SMALL, **PACKED, "max_steps": 10}
    )
    training = {"threads": 1, "save_steps": 3, "device": "cpu"}
    step.run(Room(work=work, out=out, profile=Profile.model_validate({"training": training})))
    return artifact_digest(Policy, out)


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(data: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    words = [sys.executable, "-c", KILLED, str(Path(__file__).parent), *(str(p) for p in (data, tmp_path / "work"))]
    killed = subprocess.run([*words, str(tmp_path / "half")], env=env, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert (tmp_path / "work" / "checkpoint.pt").exists()
    assert not list((tmp_path / "half").iterdir())
    again = resumable(data, tmp_path / "work", tmp_path / "again")
    assert again == resumable(data, tmp_path / "new", tmp_path / "whole")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"embedding_multiplier": 8.0}, "is for `parametrization: mup`"),
        ({"tokens_per_parameter": 20}, "needs `packing: true`"),
        ({"tokens_per_parameter": 20, "packing": True, "max_steps": 5}, "remove `max_steps`"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Pretrain(data=["chats"], **settings)


def test_too_few_chats_for_one_packed_row(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do not fill one row"):
        run(data, tmp_path / "out", packing=True, max_length=100_000)
