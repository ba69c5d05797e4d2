"""`decontaminate`: what a benchmark asks goes wherever it stands; what is merely like it stays."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from curation import table
from curation.artifact import Surroundings, bind, hash_file, identity
from curation.conversation import Answer, Candidates, Conversation, Message, Preference, Source
from curation.errors import UserError
from curation.frame import to_frame
from curation.operators.decontaminate import Decontaminate
from curation.pipeline import Curated, curate

LONG = "A ferry leaves the northern harbour at dawn carrying forty crates of lemons and two sleepy goats to market."
SHORT = "Which planet of our sun has the most moons today?"  # ten words
TINY = "Name three rivers of Peru."  # five words


def chat(*texts: str, index: int = 0) -> Conversation:
    roles = ("user", "assistant") * len(texts)
    messages = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))
    return Conversation(messages=messages, source=Source(digest="d", index=index))


def operator(folder: Path, *items: Any, **how: Any) -> Decontaminate:
    """Looks for these texts, written to a file of plain text, or for records, written as JSON lines."""
    plain = all(isinstance(item, str) for item in items)
    path = folder / ("bench.txt" if plain else "bench.jsonl")
    path.write_text("\n".join(i if plain else json.dumps(i) for i in items), encoding="utf-8")
    return bound(folder, benchmarks=[path.name], **how)


def bound(folder: Path, **how: Any) -> Decontaminate:
    return bind(Decontaminate.model_validate(how), Surroundings(folder, hash_file))


def reasons(found: Decontaminate, *texts: str) -> list[str | None]:
    return found.reasons(to_frame([chat("q", text) for text in texts], Conversation)).to_list()


def run(rows: list[Any], found: Decontaminate) -> Curated:
    return curate(rows, [found])


# The words themselves


def test_thirteen_words_in_a_row_are_a_leak_and_twelve_are_not(tmp_path: Path) -> None:
    words = LONG.split()
    found = operator(tmp_path, LONG, near=None)
    assert reasons(found, " ".join(["so", *words[2:15], "then"]), " ".join(["so", *words[2:14], "then"])) == [
        "leak",
        None,
    ]


def test_case_punctuation_white_space_width_and_composition_count_for_nothing(tmp_path: Path) -> None:
    item = "Où est passé le café que la vieille dame élégante a bu hier soir à Orléans?"
    found = operator(tmp_path, item, near=None)
    decomposed = "OU\u0300  EST\tPASSE\u0301 —\nle cafe\u0301, que la vieille dame e\u0301le\u0301gante a bu hier soir"
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in "the answer to number ") + item
    assert reasons(found, decomposed, wide) == ["leak", "leak"]


def test_the_place_of_a_vietnamese_tone_mark_counts_for_nothing(tmp_path: Path) -> None:
    old = "Vì sao hòa bình và thủy lợi lại quan trọng với người dân sống ở vùng này đến thế?"
    found = operator(tmp_path, old, near=None)
    assert reasons(found, old.replace("hòa", "hoà").replace("thủy", "thuỷ")) == ["leak"]


ITEMS = {
    "German": "Warum fährt der alte Zug am frühen Morgen immer ohne Licht durch den langen Tunnel bei Hof?",
    "Russian": "Почему старый поезд рано утром всегда едет без света через длинный тоннель возле нашего города?",
    "Arabic": "لماذا يسير القطار القديم في الصباح الباكر دائما بدون ضوء عبر النفق الطويل قرب المدينة؟",
    "Hindi": "पुरानी रेलगाड़ी सुबह जल्दी हमेशा बिना रोशनी के शहर के पास लंबी सुरंग से क्यों गुजरती है?",
    "Korean": "왜 낡은 기차는 이른 아침에 항상 불도 없이 우리 도시 근처의 아주 긴 터널을 지나가는 걸까?",
    "Chinese": "为什么那列旧火车总是在清晨不开灯地穿过我们城市附近那条很长很长的隧道然后停在河边的小站",
    "Japanese": "なぜその古い列車はいつも早朝に明かりもつけずに町の近くの長いトンネルを通り抜けていくのですか",
    "Thai": "ทำไมรถไฟเก่าขบวนนั้นจึงแล่นผ่านอุโมงค์ยาวใกล้เมืองของเราโดยไม่เปิดไฟในตอนเช้าตรู่เสมอมาทุกวันตลอดปี",
}


@pytest.mark.parametrize("language", ITEMS)
def test_in_every_language_items_are_found_and_a_few_words_of_them_are_not(language: str, tmp_path: Path) -> None:
    """A third of an item, cut out of its middle, is said by many people; all of it but its end is the item."""
    item = ITEMS[language]
    size = len(item)
    found = operator(tmp_path, item)
    third = item[size // 3 : 2 * size // 3]
    assert reasons(found, f"1) {item[: -size // 20]} ...", third) == ["leak", None]


def test_edited_items_are_near_leaks_and_items_about_other_things_stay(tmp_path: Path) -> None:
    """Of the item's 20 words, 16 runs of five. One other word in the middle takes 5: 11 of 16 are left, 0.69. Three
    others, spread, take 15.
    """
    words = "one small boat with nine red sails went slowly past our house while my two aunts were baking bread".split()
    assert len(words) == 19
    item = [*words, "outside"]
    one, three = list(item), list(item)
    one[10] = "hut"
    for at in (4, 9, 14):
        three[at] = "other"
    found = operator(tmp_path, " ".join(item))
    assert reasons(found, " ".join(one), " ".join(three)) == ["near_leak", None]
    assert reasons(operator(tmp_path, " ".join(item), near=0.7), " ".join(one)) == [None]


# Short items


def test_an_item_of_few_words_must_stand_there_as_a_whole(tmp_path: Path) -> None:
    found = operator(tmp_path, SHORT, TINY)
    near_misses = [
        "Which planet of our sun has the most water today?",
        "Which planet of our sun has the most moons, and why?",
        "Name three rivers of Chile.",
    ]
    assert reasons(found, f"Tell me: {SHORT.lower()} Please.", "Please name three rivers of Peru, now.") == ["leak"] * 2
    assert reasons(found, *near_misses) == [None] * 3


def test_an_item_of_four_words_must_be_the_message(tmp_path: Path) -> None:
    found = operator(tmp_path, "Tell me a joke")
    assert reasons(found, "TELL ME A JOKE!", "tell me a joke about bears") == ["leak", None]


def test_short_further_turns_belong_to_everybody(tmp_path: Path) -> None:
    found = operator(tmp_path, {"turns": [SHORT, "Explain your last answer."]})
    assert reasons(found, "Explain your last answer.", SHORT) == [None, "leak"]


def test_how_a_benchmark_words_its_tasks_tells_of_no_item(tmp_path: Path) -> None:
    """Four items open with the same seventeen words; a chat that opens with them and asks something else stays."""
    opening = "Answer the following question with one letter and give no reason for it whatever you may think:"
    asked = ["what is lighter than a feather", "who built the first wooden bridge", "how old is the oldest tree"]
    items = [f"{opening} {a} or what else could be said of that?" for a in (*asked, "where do the swallows sleep")]
    found = operator(tmp_path, *items)
    assert reasons(found, f"{opening} is my cat plotting something?", items[2]) == [None, "leak"]


# Rows


def test_every_message_counts_or_the_prompt_alone(tmp_path: Path) -> None:
    rows = [chat("Hello", LONG, index=0), chat(LONG, "Hello", index=1), chat("Hello", "Hello", index=2)]
    assert [r.source.index for r in run(rows, operator(tmp_path, LONG)).kept.rows()] == [2]
    kept = run(rows, operator(tmp_path, LONG, on="prompt")).kept.rows()
    assert sorted(r.source.index for r in kept) == [0, 2]


def test_pairs_go_whichever_text_leaks(tmp_path: Path) -> None:
    def pair(prompt: str, chosen: str, rejected: str) -> Preference:
        asked = (Message("user", prompt),)
        return Preference(
            prompt=asked, chosen=(Message("assistant", chosen),), rejected=(Message("assistant", rejected),)
        )

    rows = [pair(LONG, "a", "b"), pair("p", LONG, "b"), pair("p", "a", LONG), pair("p", "a", "b")]
    assert run(rows, operator(tmp_path, LONG)).ledger.dropped() == {"decontaminate: leak": 3}
    assert run(rows, operator(tmp_path, LONG, on="prompt")).ledger.dropped() == {"decontaminate(prompt): leak": 1}


def test_answers_go_alone_where_each_reply_is_looked_at(tmp_path: Path) -> None:
    row = Candidates(prompt=(Message("user", "q"),), answers=(Answer("fine"), Answer(LONG)))
    assert run([row], operator(tmp_path, LONG)).ledger.dropped() == {"decontaminate: leak": 1}
    (kept,) = run([row], operator(tmp_path, LONG, on="reply")).kept.rows()
    assert [answer.content for answer in kept.answers] == ["fine"]


def test_the_row_alone_and_the_frame_say_the_same(tmp_path: Path) -> None:
    rows = [chat("q", LONG), chat("q", "nothing"), chat(SHORT), chat("", "")]
    found = operator(tmp_path, LONG, SHORT)
    assert [found.reason(row) for row in rows] == found.reasons(to_frame(rows, Conversation)).to_list()
    assert found.reasons(to_frame([], Conversation)).to_list() == []


def test_long_texts_and_batches_are_searched_to_their_ends(tmp_path: Path) -> None:
    """More text than is worked on at once, in one message and in many."""
    found = operator(tmp_path, LONG)
    filler = "word by word this goes on and on. " * 30_000
    rows = [chat(f"{filler}{LONG}"), chat(filler), *(chat(f"{i} {filler[:4000]}") for i in range(200)), chat(LONG)]
    assert found.reasons(to_frame(rows, Conversation)).to_list() == ["leak", None, *[None] * 200, "leak"]


# Evidence


def test_the_item_and_its_words_are_named(tmp_path: Path) -> None:
    found = operator(tmp_path, {"question": SHORT}, {"question": LONG})
    said = f'He wrote: "{LONG}" and left.'
    dropped = run([chat("Listen.", said)], found).dropped.frame()
    assert dropped["evidence"].to_list() == [f"bench.jsonl[1]: {LONG.rstrip('.')}"]


def test_of_two_items_the_one_of_which_more_is_there_is_named(tmp_path: Path) -> None:
    words = LONG.split()
    found = operator(tmp_path, " ".join([*words[:14], "and", "so", "on"]), LONG)
    assert run([chat(LONG)], found).dropped.frame()["evidence"][0].startswith("bench.txt[1]: A ferry")


# Where benchmarks come from


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    texts = [f"Question number {word}: {LONG.replace('lemons', word)}" for word in ("pears", "plums", "figs", "nuts")]
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": texts[0]}]), encoding="utf-8")
    (tmp_path / "b.csv").write_text(f'question,answer\n"{texts[1]}",42\n', encoding="utf-8")
    pl.DataFrame({"problem": [texts[2]]}).write_parquet(tmp_path / "c.parquet")
    (tmp_path / "d.jsonl.gz").write_bytes(
        gzip.compress(json.dumps({"messages": [{"role": "user", "content": texts[3]}]}).encode())
    )
    found = bound(tmp_path, benchmarks=["a.json", "b.csv", "c.parquet", "d.jsonl.gz"])
    rows = [chat(text, index=i) for i, text in enumerate(texts)]
    evidence = run(rows, found).dropped.frame().sort(pl.col("source").struct.field("index"))["evidence"]
    assert [e.partition("[")[0] for e in evidence] == ["a.json", "b.csv", "c.parquet", "d.jsonl.gz"]


def test_a_step_is_a_benchmark_by_what_its_rows_ask(tmp_path: Path) -> None:
    rows = [chat(LONG, "The goats arrive first of all, and nobody else does so before the noon bell rings twice.")]
    table.write_rows(tmp_path / "rows", rows, Conversation)
    around = Surroundings(tmp_path, hash_file, {"bench": (tmp_path / "rows", "digest")})
    found = bind(Decontaminate.model_validate({"against": "bench"}), around)
    (message_,) = rows[0].messages[1:]
    assert reasons(found, LONG, message_.content) == ["leak", None]
    assert run([chat(LONG)], found).dropped.frame()["evidence"][0].startswith(f"bench[{rows[0].id}]: A ferry leaves")


def test_columns_say_what_is_looked_for(tmp_path: Path) -> None:
    record = {"task": LONG, "answer": SHORT}
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    found = bound(tmp_path, benchmarks={"path": path.name, "columns": ["task", "answer"]})
    assert reasons(found, LONG, SHORT) == ["leak", "leak"]
    with pytest.raises(UserError, match="record 0 asks nothing known") as error:
        bound(tmp_path, benchmarks=path.name).prepare()
    assert error.value.hint == "it has task, answer: write `columns`"
    with pytest.raises(UserError, match="no column 'quest'"):
        bound(tmp_path, benchmarks={"path": path.name, "columns": ["quest"]}).prepare()


def test_a_file_that_is_not_there_is_said_before_the_run(tmp_path: Path) -> None:
    for name in ("absent.txt", "absent.jsonl"):
        with pytest.raises(UserError, match=f"there is no {name}"):
            bound(tmp_path, benchmarks=name)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"prompt": "a b c"}\n{"prompt": "cut of', "record 1 cannot be read|breaks off"),
        ('{"prompt": ""}', "asks nothing"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_read_of_a_benchmark_stops_the_run(content: str, what: str, tmp_path: Path) -> None:
    """A part that is silently missing would not be looked for."""
    (tmp_path / "bench.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=what):
        bound(tmp_path, benchmarks="bench.jsonl").prepare()


def test_settings_that_look_for_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to look for"):
        Decontaminate.model_validate({})
    with pytest.raises(ValidationError, match="at most `n`"):
        Decontaminate.model_validate({"benchmarks": "a.txt", "n": 5})


def test_its_identity_is_the_benchmark_and_not_its_name(tmp_path: Path) -> None:
    one = operator(tmp_path, LONG)
    (tmp_path / "other.txt").write_text(LONG, encoding="utf-8")
    assert identity(one) == identity(bound(tmp_path, benchmarks="other.txt"))
    (tmp_path / "other.txt").write_text(SHORT, encoding="utf-8")
    assert identity(one) != identity(bound(tmp_path, benchmarks="other.txt"))


def test_real_benchmarks_are_found_in_themselves_and_not_in_other_chats(real_data: Path) -> None:
    """Every question of MT-Bench and of GSM8K, in a chat, goes; chats of OpenAssistant hold none of them."""
    found = bound(real_data, benchmarks=["fastchat_mt_bench/question.jsonl", "gsm8k/test.jsonl"])
    lines = (real_data / "fastchat_mt_bench" / "question.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["turns"][0] for line in lines]
    lines = (real_data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    asked += [json.loads(line)["question"] for line in lines]
    assert set(reasons(found, *(f"Please help. {text} Thanks!" for text in asked))) == {"leak"}
    from curation.sources.intake import read_rows

    others, _ = read_rows(real_data / "open_assistant" / "en_100_tree.jsonl")
    assert found.reasons(to_frame(others, Conversation)).drop_nulls().to_list() == []
