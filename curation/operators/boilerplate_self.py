"""How answers speak of themselves as a model, in twenty languages: what `boilerplate` looks for anywhere in an answer.

The same rules as in `curation.operators.boilerplate_refusals`. An answer *about* language models stays, also where it
says what one serves *as* ("BERT is used as a language model"): so a phrase goes on to where the answer says I.
"""

from __future__ import annotations

_MAKERS = r"(?:openai|anthropic|google|meta|microsoft|alibaba|deepseek|mistral)"
_MADE = r"(?: (?:trained|developed|created|designed|built|programmed) [a-z' -]{0,60})?,? ?"
_BREAK = r"(?:^\W*|[.!?,;:(—–-]\s*)"
"""What stands before words that open an answer, a sentence or a clause."""

SELF_REFERENCES: dict[str, tuple[str, ...]] = {
    "ar": (
        r"(?:بصفتي|باعتباري|كوني) (?:نموذج|ذكاء)",
        r"كنموذج لغ[^ ،]*(?: [^ ،]+)?،? (?:لا |ليس |ليست |أنا |لدي |فأنا |فإن)",
    ),
    "de": (
        r"\bals (?:ki|künstliche intelligenz)(?:[- ](?:sprachmodell|modell|assistent))? (?:kann|habe|bin|darf) ich\b",
        r"\bals (?:ein )?(?:ki-|großes )?sprachmodell [a-zäöüß]+ (?:ich|mir)\b",
    ),
    "en": (
        rf"\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant| chatbot)?{_MADE}"
        r"(?:i|i'm|i've|my|it is)\b",
        rf"\bas an? (?:ai |large |artificial intelligence )?language model{_MADE}"
        r"(?:i|i'm|i've|my|it's|it is|there is|there are)\b",
        r"\b(?:i am|i'm) (?:just |only )?an? (?:ai |large |artificial intelligence )(?:language model|assistant)",
        r"\b(?:i am|i'm|my name is) (?:chatgpt|gpt-?\d)\b",
        rf"\bi (?:was|am|have been) (?:trained|developed|created|built) by {_MAKERS}\b",
        r"\bmy (?:knowledge|training)(?: data)? (?:cut-?off|only goes|only extends|was last updated)\b",
    ),
    "es": (
        r"\bcomo (?:un )?modelo de lenguaje[a-z ]{0,30}?, (?:no|yo|mi|mis|me|puedo|tengo|soy|estoy)\b",
        r"\bcomo (?:una )?(?:ia|inteligencia artificial), ",
    ),
    "fa": (r"به.عنوان یک (?:مدل زبان|هوش مصنوعی)[^.؟!]{0,60}?(?:ندارم|نیستم|نمی.?توانم|نمی.?کنم|هستم|[ ،]من )",),
    "fr": (
        r"\ben tant qu(?:e |'|e l')(?:modèle de langage|ia\b|intelligence artificielle)"
        r"[^.,]{0,30}, (?:je |j'|mon |ma |mes )",
    ),
    "hi": (r"(?:एआई|ए आई|ai|कृत्रिम बुद्धिमत्ता|भाषा मॉडल)[^।]{0,20}? के रूप में,? (?:मैं|मेरे|मुझे|मेरी)",),
    "id": (r"\bsebagai (?:sebuah )?(?:model bahasa|ai|kecerdasan buatan)\b.{0,20}?\bsaya\b",),
    "it": (
        r"\b(?:come|in quanto) (?:un )?modello (?:di linguaggio|linguistico)[a-z ]{0,30}?, "
        r"(?:non|io|il mio|mi|posso|ho|sono)\b",
        r"\b(?:come|in quanto) (?:un')?(?:ia|intelligenza artificiale), ",
    ),
    "ja": (
        r"言語モデル(?:である私|(?:として|なので|ですので)、?(?:私|わたし|個人的|感情|お答え|特定の))",
        r"私は(?:ai|人工知能)(?:言語モデル)?(?:です|なので)",
    ),
    "ko": (
        r"(?:저는|나는|제가) [^.]{0,20}?(?:언어 ?모델|인공지능)(?:로서|이기 때문에|입니다|이라서?|이므로)",
        r"언어 ?모델로서,? (?:저|제|나|개인적)",
    ),
    "nl": (
        r"\bals (?:een )?(?:ai|kunstmatige intelligentie)(?:-taalmodel|-model|-assistent)? (?:kan|heb|ben|mag) ik\b",
        r"\bals (?:een )?(?:groot |ai-)?taalmodel [a-z]+ ik\b",
    ),
    "pl": (
        r"\bjako (?:duży )?model językowy,? (?:ai |si )?(?:nie|mogę|jestem|mam|moja|moje) ",
        r"\bjako (?:ai|sztuczna inteligencja),? (?:nie|mogę|jestem|mam) ",
    ),
    "pt": (
        r"\bcomo (?:um )?modelo de linguagem[a-z ]{0,30}?, (?:não|eu|meu|minha|posso|tenho|sou|estou)\b",
        r"\bcomo (?:uma )?(?:ia|inteligência artificial), ",
    ),
    "ru": (rf"{_BREAK}как (?:языковая модель|ии|искусственный интеллект), я ",),
    "th": (
        r"ในฐานะ(?:ที่เป็น)?(?:โมเดลภาษา|แบบจำลองภาษา|ปัญญาประดิษฐ์|ai|เอไอ).{0,25}?(?:ฉัน|ผม|ดิฉัน|เรา)(?:ไม่|มี|เป็น|สามารถ|ขอ)",
    ),
    "tr": (
        r"\bbir (?:yapay zek[aâ]|dil modeli|ai)(?: dil)?(?: modeli| asistanı)? olarak,? "
        r"(?:ben|benim|kişisel|size|duygu|herhangi|bu konuda)",
    ),
    "uk": (rf"{_BREAK}як (?:мовна модель|ші|штучний інтелект), я ",),
    "vi": (
        r"với tư cách là một (?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai\b|trợ lý ai\b)",
        r"(?:^\W*|[.!?:\n] *|\btôi (?:chỉ )?)là (?:một )?(?:mô hình ngôn ngữ|trí tuệ nhân tạo|trợ lý ai\b|ai,)",
    ),
    "zh": (
        r"(?:作为|作為)(?:一个|一個|一名|一种|一種)?(?:ai|人工智能|人工智慧|大型|大)*"
        r"(?:语言模型|語言模型|ai助手|助手|人工智能|人工智慧)[，,]? ?(?:我|很抱歉|抱歉|本人)",
    ),
}
"""Language -> phrases."""
