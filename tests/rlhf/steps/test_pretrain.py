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
