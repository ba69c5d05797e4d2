r"""How answers refuse, in twenty languages: what `boilerplate` looks for near the beginning of an answer.

Each phrase is a regular expression over text in lower case, plain enough to mean the same in Rust's engine, in RE2 and
in Python's. `\b` is a boundary of ASCII words, so it stands beside ASCII letters alone. Short and literal on purpose:
what people say of themselves (`I can't attend`, `je ne peux pas manger de noix`) must stay, and for every phrase a test
holds one sentence that goes and one close to it that stays.
"""

from __future__ import annotations

_CANNOT = r"(?:can't|cannot|can not|won't|will not|am unable to|am not able to|'m unable to|'m not able to)"
_WHAT = r"(?:that|this|such|any|your|content|information|instructions|assistance|guidance)"
_DO = (
    r"(?:help (?:you|with)|assist (?:you|with|in)|provide you|comply|do that|engage in"
    rf"|(?:provide|fulfil|fulfill|complete|generate|create|answer|support|discuss) {_WHAT})"
)
_DOING = r"(?:providing|helping|assisting|writing|creating|discussing|generating|answering)"
_WORD = r"(?:^|[\s,.;:!?\"«»()—–-])"
"""What stands before a word that is not written in ASCII."""

REFUSALS: dict[str, tuple[str, ...]] = {
    "ar": (
        r"^\W*(?:عذر[ًا]{1,2}|آسف|أعتذر|معذرة|المعذرة)[،,]? ?(?:و?لكن(?:ني)?)? ?.{0,15}?لا (?:أستطيع|يمكنني)",
        r"لا (?:يمكنني|أستطيع) (?:مساعدتك في|تقديم|توفير|الإجابة|تلبية)",
    ),
    "de": (
        r"^\W*(?:es )?tut mir (?:sehr )?leid, (?:aber )?(?:ich|dabei|das|als)\b.{0,80}?\bnicht\b",
        r"\bich kann (?:ihnen|dir) (?:dabei|damit|hierbei|bei) .{0,40}?nicht (?:weiter)?helfen\b",
        r"\bich (?:kann|darf) (?:diese|ihre|deine) (?:anfrage|bitte|frage) (?:leider )?nicht"
        r" (?:erfüllen|beantworten)\b",
    ),
    "en": (
        rf"^\W*(?:i'm|i am) (?:very |so |truly )?sorry(?:,| but|, but) (?:but )?(?:i|as an)\b.{{0,60}}?{_CANNOT}",
        rf"^\W*(?:i apologi[sz]e|my apologies)(?:,| but|, but) (?:but )?(?:i|as an)\b.{{0,60}}?{_CANNOT}",
        rf"\bi ?{_CANNOT} {_DO}\b",
        r"\bi must (?:respectfully )?(?:decline|refuse)\b",
        r"\b(?:goes|is) against my (?:programming|guidelines|policies|policy|principles)\b",
        r"\bi(?:'m| am) not (?:programmed|designed|allowed|permitted) to"
        r" (?:help|assist|provide|answer|discuss|generate|create|engage)\b",
        r"\bit(?:'s| is| would be) (?:not appropriate|inappropriate|not ethical|unethical) for me to\b",
        rf"\bi(?:'m| am) not comfortable (?:with )?{_DOING}\b",
    ),
    "es": (
        r"^\W*lo siento, (?:pero )?(?:no puedo|como)\b",
        r"\bno puedo (?:ayudarte con|ayudarle con|cumplir con|proporcionar)\b",
        r"\bno me es posible (?:ayudarte|ayudarle|responder|proporcionar|cumplir)\b",
    ),
    "fa": (
        r"^\W*(?:متأسفم|متاسفم|ببخشید|پوزش می.?خواهم)[،,]? ?(?:اما|ولی)? ?.{0,20}?نمی.?توانم",
        r"نمی.?توانم (?:به شما کمک|این (?:درخواست|اطلاعات)|در این (?:مورد|زمینه) کمک)",
    ),
    "fr": (
        r"^\W*(?:je suis )?désolée?, (?:mais )?je ne (?:peux|suis)\b",
        r"\bje ne (?:peux|puis) pas (?:vous aider|t'aider|répondre à cette|fournir)\b",
        r"\bje ne suis pas en mesure de (?:répondre|vous|fournir|satisfaire|traiter)\b",
    ),
    "hi": (
        r"^\W*(?:मुझे )?(?:क्षमा करें|माफ़ करें|माफ करें|खेद है|क्षमा कीजिए|माफ़ कीजिए)[,।]? ?(?:लेकिन|कि|परंतु)? ?मैं .{0,60}?"
        r"(?:नहीं कर सकत|नहीं दे सकत|असमर्थ)",
        r"मैं (?:इस|आपकी|ऐसी|यह) .{0,40}?(?:सहायता|मदद|जानकारी) .{0,10}?नहीं (?:कर|दे) सकत",
    ),
    "id": (
        r"^\W*(?:mohon |saya minta )?maaf(?:,| tetapi|, tetapi|, tapi| tapi) saya tidak (?:bisa|dapat|mampu)\b",
        r"\bsaya tidak (?:bisa|dapat) (?:membantu anda|memberikan|menyediakan|memenuhi permintaan)\b",
    ),
    "it": (
        r"^\W*mi dispiace, (?:ma )?non posso\b",
        r"\bnon posso (?:aiutarti con|aiutarla con|fornire|soddisfare)\b",
        r"\bnon sono in grado di (?:aiutarti|aiutarla|fornire|rispondere|soddisfare)\b",
    ),
    "ja": (
        r"^\W*申し訳(?:ありません|ございません|ない).{0,60}?(?:できません|いたしかねます|できかねます)",
        r"(?:その|この)(?:ような)?ご?(?:質問|要求|依頼|リクエスト)には?(?:お答え|お応え|対応)(?:でき|いたしかね|しかね)ま",
    ),
    "ko": (
        r"^\W*죄송(?:합니다|하지만|스럽지만).{0,60}?(?:없습니다|어렵습니다)",
        r"(?:요청|질문|내용)(?:은|는|을|를|에|에는)? ?(?:도와드릴|답변할|답변드릴|제공할) 수 없습니다",
    ),
    "nl": (
        r"^\W*(?:het )?spijt me,? (?:maar )?(?:ik kan|dat ik|daar kan ik)\b.{0,60}?\b(?:niet|geen)\b",
        r"\bik kan (?:u|je|jou) (?:hierbij|hiermee|daarbij|daarmee|met) .{0,30}?niet helpen\b",
    ),
    "pl": (
        r"^\W*(?:bardzo )?(?:przepraszam|przykro mi), (?:ale )?(?:nie mogę|jako) ",
        r"\bnie mogę (?:pomóc (?:ci|panu|pani) |udzielić |odpowiedzieć na (?:to|twoje) |spełnić )",
    ),
    "pt": (
        r"^\W*(?:sinto muito|desculpe|lamento), (?:mas )?não posso\b",
        r"\bnão posso (?:ajudar com|ajudá-lo com|fornecer|atender)\b",
        r"\bnão (?:consigo|sou capaz de) (?:ajudar com|responder a|fornecer|atender)\b",
    ),
    "ru": (
        r"^\W*(?:извините|простите|к сожалению|мне жаль), (?:но )?я не могу ",
        rf"{_WORD}я не могу (?:помочь (?:вам|тебе|с)|выполнить (?:эту|этот|ваш)|предоставить) ",
        rf"{_WORD}я не в состоянии (?:помочь|ответить|предоставить|выполнить) ",
    ),
    "th": (
        r"^\W*(?:ขออภัย|ขอโทษ|เสียใจ)(?:ด้วย)?(?:ครับ|ค่ะ|นะคะ)?[ ,]*(?:แต่)?(?:ฉัน|ผม|ดิฉัน|เรา)?ไม่สามารถ",
        r"(?:ฉัน|ผม)ไม่สามารถ(?:ให้ข้อมูล|ช่วยเหลือ|ช่วยคุณ|ตอบคำถาม|ทำตาม)",
    ),
    "tr": (
        r"^\W*(?:üzgünüm|özür dilerim|maalesef|ne yazık ki),? .{0,60}?"
        r"(?:yardımcı olamam|yardım edemem|yanıtlayamam|sağlayamam|yerine getiremem)",
        r"\bbu (?:konuda|talebe|isteğe|soruya) .{0,20}?"
        r"(?:yardımcı olamıyorum|yardımcı olamam|yanıt veremem|cevap veremem)",
    ),
    "uk": (
        r"^\W*(?:вибачте|пробачте|на жаль|мені шкода), (?:але )?я не можу ",
        rf"{_WORD}я не можу (?:допомогти (?:вам|тобі|з)|надати|виконати (?:цей|цю|ваш)) ",
    ),
    "vi": (
        r"^\W*(?:xin lỗi|rất tiếc|tôi rất tiếc)(?:,| nhưng|, nhưng) (?:nhưng )?tôi không thể(?:\s|$)",
        r"\btôi không thể (?:giúp bạn|hỗ trợ bạn|cung cấp)\b",
        r"\btôi không (?:được phép|có khả năng) (?:cung cấp|trả lời|hỗ trợ|thực hiện)",
    ),
    "zh": (
        r"^\W*(?:很|非常|十分)?(?:抱歉|对不起|對不起|遗憾|遺憾)[，,].{0,12}?(?:无法|無法|不能)",
        r"我(?:无法|無法|不能)(?:提供|协助|協助|满足|滿足|回答)",
    ),
}
"""Language -> phrases."""
