"""Rude words go in each language, and honest words that hold them, or look like them elsewhere, stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from curation.artifact import InputFile
from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.operators.profanity import Profanity
from curation.operators.profanity_words import PROFANITY

HONEST = {
    "ar": "الكلب ابن الجيران يلعب، والقاموس أكسفورد على الطاولة، وهو خولاني.",
    "de": "Die Arche schickte dicke Ficker-Briefe nicht; der Scheich isst Fischotter, die Wichte wichsen Schuhe nicht.",
    "en": "Scunthorpe, Penistone and Essex assess the classic cockpit; Dickens passed a shiitake to Mr Bastardo.",
    "es": "La computadora disputa la reputación del coñac; el cabrito y la diputada comen.",
    "fr": "Je connais la bordelaise qui s'émerveille; il est salopette et put aller au fouloir.",
    "hi": "हराम और हलाल, रंडीर गाँव, चूत्या नहीं, गांडीव धनुष।",
    "id": "Memekarkan bunga, bangsawan itu membaca kontolir? Tidak, kontrol.",
    "it": "Il cazzuolo di merluzzo, lo smeraldo e la cogliona? No: il cogliere di more.",
    "ja": "クソースではなく、くそう思う。死ぬ気で走る。",
    "ko": "시발점에서 출발한 병신년의 개새로 새끼 고양이를 존중하다.",
    "nl": "De kutsmuur van Kutno; de klootschieter is hoerenlopers beu en rotsen zijn hard.",
    "pl": "Kurwatura, chujów? Nie: kurtyna, dupa to nie dupleks, jebel.",
    "pt": "O deputado de Porrao e o cultivo: caralhota não, carvalho sim; foda era a soda.",
    "ru": "Рубля нет, употреблять нельзя; страхуй дом, хулиган; мудакский? Нет: мудрый.",
    "th": "ควายไถนา สัตว์ป่า ตีนเขา ดอกไม้ หน้าต่าง",
    "tr": "Sikke, sıkı, orospul? Yarra, götürmek, gavatça.",
    "uk": "Страхуй, курвіметр, мудрий, хуйлінь.",
    "vi": "Đi địa phương, đeo kính, cặp sách, lồng chim, đu quay, mẹ hiền.",
    "zh": "他妈妈的书，操场上有傻子和王八，去你家的路。",
}


def said(text: str) -> Conversation:
    return Conversation(messages=(Message("user", "Go on."), Message("assistant", text)))


@pytest.mark.parametrize("language", sorted(PROFANITY))
def test_every_word_is_found_among_others_and_no_honest_word_is(language: str) -> None:
    own, every = Profanity(languages=[language]), Profanity()
    for word in PROFANITY[language]:
        assert own.reason(said(f"… {word.upper()}! …")) == "profanity", word
    assert own.reason(said(HONEST[language])) is None
    assert every.reason(said(HONEST[language])) is None


def test_words_that_are_innocent_elsewhere_are_not_listed() -> None:
    # An end in Swedish, thick in German, with in Spanish, he got in Swedish, a subject in Norwegian, bright in German.
    for sentence in ("Sagan är slut.", "Der dicke Ast ist dick.", "Café con leche.", "Han fick brev.", "Et nytt fag."):
        assert Profanity().reason(said(sentence)) is None


def test_lists_are_short_plain_and_without_doubles() -> None:
    assert len(PROFANITY) >= 10
    for language, words in PROFANITY.items():
        assert 8 <= len(words) <= 30, language
        assert len({w.lower() for w in words}) == len(words), language


def test_a_few_words_may_be_allowed() -> None:
    row = said("Shit, the bus. Merde!")
    assert Profanity(max_words=2).reason(row) is None
    assert Profanity(max_words=1).reason(row) == "profanity"


def test_languages_and_a_file_say_what_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("dunderhead\n", encoding="utf-8")
    file = InputFile("own.txt", path, "digest")
    assert Profanity(languages=("de",)).reason(said("merde")) is None
    assert Profanity(languages=(), file=file).reason(said("merde")) is None
    assert Profanity(languages=(), file=file).reason(said("You dunderhead!")) == "profanity"
    assert Profanity(languages=("fr",), file=file).reason(said("merde")) == "profanity"
    with pytest.raises(ValidationError, match="no words in 'tlh'"):
        Profanity(languages=("tlh",))
    with pytest.raises(ValidationError, match="no words to look for"):
        Profanity(languages=())


def test_a_frame_gets_what_its_rows_get_and_the_word_beside_it() -> None:
    rows = [said(text) for text in (*HONEST.values(), "oh, Putain!", "他妈的")]
    own, frame = Profanity(), to_frame(rows, Conversation)
    reasons = own.reasons(frame)
    assert reasons.to_list() == [own.reason(row) for row in rows]
    assert own.evidence(frame, reasons).to_list()[-2:] == ["putain", "他妈的"]
    questions = Profanity(of="questions")
    assert questions.reasons(frame).null_count() == len(rows)
