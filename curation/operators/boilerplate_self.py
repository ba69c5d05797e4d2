"""How answers speak of themselves as a model, in twenty languages: what `boilerplate` looks for anywhere in an answer.

The same rules as in `curation.operators.boilerplate_refusals`. An answer *about* language models stays.
"""

from __future__ import annotations

from curation.operators.boilerplate_refusals import _WORD

_MAKERS = r"(?:openai|anthropic|google|meta|microsoft|alibaba|deepseek|mistral)"

SELF_REFERENCES: dict[str, tuple[str, ...]] = {
    "ar": (r"(?:بصفتي|باعتباري|كوني) (?:نموذج|ذكاء)", r"كنموذج لغ"),
    "de": (
        r"\bals (?:ki|künstliche intelligenz)(?:[- ](?:sprachmodell|modell|assistent))? (?:kann|habe|bin|darf) ich\b",
        r"\bals (?:ein )?(?:ki-|großes )?sprachmodell\b",
    ),
    "en": (
        r"\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant| chatbot)?,? (?:i|my|it is)\b",
        r"\bas an? (?:ai |large |artificial intelligence )?language model\b",
        r"\b(?:i am|i'm) (?:just |only )?an? (?:ai |large |artificial intelligence )(?:language model|assistant)",
        r"\b(?:i am|i'm|my name is) (?:chatgpt|gpt-?\d)\b",
        rf"\bi (?:was|am|have been) (?:trained|developed|created|built) by {_MAKERS}\b",
        r"\bmy (?:knowledge|training)(?: data)? (?:cut-?off|only goes|only extends|was last updated)\b",
    ),
    "es": (r"\bcomo (?:un )?modelo de lenguaje\b", r"\bcomo (?:una )?(?:ia|inteligencia artificial), "),
    "fa": (r"به.عنوان یک (?:مدل زبان|هوش مصنوعی)",),
    "fr": (r"\ben tant qu(?:e |'|e l')(?:modèle de langage|ia\b|intelligence artificielle)",),
    "hi": (r"(?:एआई|ए आई|ai|कृत्रिम बुद्धिमत्ता|भाषा मॉडल)[^।]{0,20}? के रूप में,? (?:मैं|मेरे|मुझे|मेरी)",),
    "id": (r"\bsebagai (?:sebuah )?(?:model bahasa|ai|kecerdasan buatan)\b.{0,20}?\bsaya\b",),
    "it": (
        r"\b(?:come|in quanto) (?:un )?modello (?:di linguaggio|linguistico)\b",
        r"\b(?:come|in quanto) (?:un')?(?:ia|intelligenza artificiale), ",
    ),
    "ja": (
        r"(?:ai|人工知能|大規模)言語モデル(?:として|なので|ですので|である私)",
        r"私は(?:ai|人工知能)(?:言語モデル)?(?:です|なので)",
    ),
    "ko": (r"(?:ai|인공지능|대규모) ?언어 ?모델(?:로서|이기 때문에|입니다)",),
    "nl": (
        r"\bals (?:een )?(?:ai|kunstmatige intelligentie)(?:-taalmodel|-model|-assistent)? (?:kan|heb|ben|mag) ik\b",
        r"\bals (?:een )?(?:groot |ai-)?taalmodel\b",
    ),
    "pl": (r"\bjako (?:duży )?model językowy\b", r"\bjako (?:ai|sztuczna inteligencja),? (?:nie|mogę|jestem|mam) "),
    "pt": (r"\bcomo (?:um )?modelo de linguagem\b", r"\bcomo (?:uma )?(?:ia|inteligência artificial), "),
    "ru": (rf"{_WORD}как (?:языковая модель|ии|искусственный интеллект), я ",),
    "th": (r"ในฐานะ(?:ที่เป็น)?(?:โมเดลภาษา|แบบจำลองภาษา|ปัญญาประดิษฐ์|ai|เอไอ)",),
    "tr": (r"\bbir (?:yapay zek[aâ]|dil modeli|ai)(?: dil)?(?: modeli| asistanı)? olarak\b",),
    "uk": (rf"{_WORD}як (?:мовна модель|ші|штучний інтелект), я ",),
    "vi": (r"(?:là|với tư cách là) một (?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai,)",),
    "zh": (
        r"(?:作为|作為)(?:一个|一個|一名|一种|一種)?(?:ai|人工智能|人工智慧|大型|大)*"
        r"(?:语言模型|語言模型|ai助手|人工智能|人工智慧)",
    ),
}
"""Language -> phrases."""
