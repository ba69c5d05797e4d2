"""`recipes/koala.yaml`: good and bad answers are told apart as Koala did, and no data hold what the study asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from through import Through, chat, template, through

from curation import table
from curation.conversation import Conversation, Message
from curation.frame import to_frame
from rlhf.recipe.load import load

ASKED = "Could you plan a quiet weekend in the mountains for two people who do not like to walk far?"
OTHER = "Please tell me how a lock on a canal lifts a boat, in words that a child can follow."
GOOD = "Take the small train up in the morning, read by the lake, and be back before the evening bell rings."
BAD = "Walk all day and do not stop, whatever happens to your feet on the long way down to the valley."


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a study asks."""
    folder = tmp_path_factory.mktemp("questions") / "rows"
    table.write(folder, to_frame([Conversation(messages=(Message("user", ASKED),))], Conversation))
    return folder


def conditioned(records: list[Any], folder: Path, questions: Path, entry: int = 0) -> Through:
    """The pairs as good and bad chats, of which none is kept back."""
    return through(
        "koala",
        records,
        folder,
        chats="judged",
        curated="conditioned",
        entry=entry,
        steps={"questions": questions},
        without={"split"},
    )


def test_a_good_and_a_bad_answer_are_written_as_koala_wrote_them(micro: Path, questions: Path, tmp_path: Path) -> None:
    """`USER:` and the question, then `GPT:` or, in its place, `An Unhelpful Answer:`, the answer, the end token."""
    pair = {"chosen": f"\n\nHuman: {OTHER}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {OTHER}\n\nAssistant: {BAD}"}
    found = conditioned([pair], tmp_path, questions)
    koala = template(micro, "koala")
    end = koala.tokenizer.eos_token
    assert {koala.text(row.messages) for row in found.kept} == {
        f"BEGINNING OF CONVERSATION: USER: {OTHER} GPT:{GOOD}{end}",
        f"BEGINNING OF CONVERSATION: USER: {OTHER} An Unhelpful Answer:{BAD}{end}",
    }
    assert koala.text([Message("user", OTHER)], ask=True) == f"BEGINNING OF CONVERSATION: USER: {OTHER} GPT:"
    for row in found.kept:
        encoded = koala.encode(row.messages)
        learned = "".join(koala.tokenizer.decode(encoded.ids[a:b]) for a, b in encoded.turns)
        assert learned == row.reply + end, "the words that tell good from bad are read, not learned"


def test_all_answers_of_a_bad_chat_are_called_so(questions: Path, tmp_path: Path) -> None:
    start = f"\n\nHuman: {OTHER}\n\nAssistant: Where is it?\n\nHuman: In the north of the old town."
    pair = {"chosen": f"{start}\n\nAssistant: {GOOD}", "rejected": f"{start}\n\nAssistant: {BAD}"}
    found = conditioned([pair], tmp_path, questions)
    names = {row.label: [m.to_dict().get("name") for m in row.messages] for row in found.kept}
    assert names == {True: [None] * 4, False: [None, "An Unhelpful Answer"] * 2}


def test_pairs_of_every_set_become_a_good_and_a_bad_chat(questions: Path, tmp_path: Path) -> None:
    records: list[Any] = [
        {"chosen": f"\n\nHuman: {OTHER}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {OTHER}\n\nAssistant: {BAD}"},
        {"question": {"full_text": OTHER}, "answer_0": BAD, "score_0": -1.0, "answer_1": GOOD, "score_1": 1.0},
        {"prompt": OTHER, "chosen": GOOD, "rejected": BAD},
    ]
    for entry, record in enumerate(records):
        folder = tmp_path / str(entry)
        folder.mkdir()
        found = conditioned([record], folder, questions, entry)
        assert {(row.reply, row.label) for row in found.kept} == {(GOOD, True), (BAD, False)}, entry


def test_chats_of_every_set_are_read(questions: Path, tmp_path: Path) -> None:
    records: list[Any] = [
        chat("shared", OTHER, GOOD),
        {"question": OTHER, "human_answers": [BAD], "chatgpt_answers": [GOOD, GOOD + " Take a coat."], "source": "x"},
        {"text": f"<human>: {OTHER}\n<bot>: {GOOD}", "metadata": {"source": "made"}},
        {"instruction": OTHER, "input": "", "output": GOOD},
    ]
    for entry, record in enumerate(records):
        folder = tmp_path / str(entry)
        folder.mkdir()
        found = through("koala", [record], folder, entry=entry, steps={"questions": questions}, without={"split"})
        assert [(m.role, m.content) for m in found.kept[0].messages] == [
            ("user", OTHER),
            ("assistant", GOOD),
        ] or entry == 1
        assert {row.reply for row in found.read} == ({GOOD, GOOD + " Take a coat."} if entry == 1 else {GOOD})


@pytest.mark.parametrize(
    "asked", [ASKED, ASKED.upper(), f"Hello there! {ASKED} Thank you very much.", ASKED.replace(" ", "  ")]
)
def test_what_the_study_asks_is_taken_out_of_chats_and_of_pairs(questions: Path, tmp_path: Path, asked: str) -> None:
    found = through(
        "koala",
        [chat("leak", asked, GOOD), chat("fine", OTHER, GOOD)],
        tmp_path,
        steps={"questions": questions},
        without={"split"},
    )
    assert [row.meta["id"] for row in found.kept] == ["fine"]
    assert [(by, why) for _, by, why in found.dropped] == [("decontaminate", "leak")]
    pair = {"chosen": f"\n\nHuman: {asked}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {asked}\n\nAssistant: {BAD}"}
    fine = {"chosen": f"\n\nHuman: {OTHER}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {OTHER}\n\nAssistant: {BAD}"}
    pairs = conditioned([pair, fine], tmp_path, questions)
    assert len(pairs.kept) == 2 and {why for _, _, why in pairs.dropped} == {"leak"}


def test_the_real_study_leaks_into_nothing(real_data: Path, tmp_path: Path) -> None:
    """A planted question of Koala's own 180 goes, whichever it is."""
    file = real_data / "koala" / "koala_test_set.jsonl"
    asked = [json.loads(line)["prompt"] for line in file.read_text(encoding="utf-8").splitlines()]
    folder = tmp_path / "rows"
    table.write(folder, to_frame([Conversation(messages=(Message("user", text),)) for text in asked], Conversation))
    planted = [chat(f"leak{i}", text, GOOD) for i, text in enumerate(asked)]
    found = through(
        "koala",
        [*planted, chat("fine", OTHER, GOOD)],
        tmp_path,
        steps={"questions": folder},
        without={"split", "language", "near_dedup", "exact_dedup"},
    )
    assert [row.meta["id"] for row in found.kept] == ["fine"]


def test_other_languages_and_one_chat_shared_twice_go(questions: Path, tmp_path: Path) -> None:
    french = chat(
        "french",
        "Comment fonctionne une écluse ?",
        "L'eau entre par une vanne et soulève lentement le bateau jusqu'au niveau du haut.",
    )
    longer = chat(
        "longer", OTHER, GOOD, "And back down?", "The same way: the water runs out and the boat sinks with it."
    )
    found = through(
        "koala",
        [french, chat("short", OTHER, GOOD), longer],
        tmp_path,
        steps={"questions": questions},
        without={"split"},
    )
    assert found.reasons() == {("language", "other_language"): 1, ("exact_dedup", "duplicate"): 1}


def test_both_halves_of_a_pair_lie_in_one_split() -> None:
    for name in ("koala", "mini/koala"):
        split: Any = load(name).steps["conditioned"].operators[-1]  # type: ignore[attr-defined]  # a curate step
        assert (split.op, split.by) == ("split", "prompt")
