"""Answers that refuse, and answers that talk about being a language model.

Models trained on other models' chats copy these phrases first. A refusal counts only near the beginning of an answer,
where refusals stand; that an answer calls itself a language model counts anywhere. The lists are short and plain on
purpose: every phrase is tested on an answer that must go and on one, close to it, that must stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curation.operator import Filter

if TYPE_CHECKING:
    import polars as pl

_CANNOT = r"(?:can't|cannot|can not|won't|will not|am unable to|am not able to|'m unable to|'m not able to)"
_WHAT = r"(?:that|this|such|any|your|content|information|instructions|assistance|guidance)"
_DO = (
    r"(?:help (?:you|with)|assist (?:you|with|in)|provide you|comply|do that|engage in"
    rf"|(?:provide|fulfil|fulfill|complete|generate|create|answer|support|discuss) {_WHAT})"
)

REFUSALS: dict[str, tuple[str, ...]] = {
    "en": (
        rf"^\W*(?:i'm|i am) (?:very |so |truly )?sorry(?:,| but|, but) (?:but )?(?:i|as an)\b.{{0,60}}?{_CANNOT}",
        rf"^\W*(?:i apologi[sz]e|my apologies)(?:,| but|, but) (?:but )?(?:i|as an)\b.{{0,60}}?{_CANNOT}",
        rf"\bi ?{_CANNOT} {_DO}\b",
        r"\bi must (?:respectfully )?(?:decline|refuse)\b",
        r"\b(?:goes|is) against my (?:programming|guidelines|policies|policy|principles)\b",
    ),
    "de": (
        r"^\W*(?:es )?tut mir (?:sehr )?leid, (?:aber )?(?:ich|dabei|das|als)\b.{0,80}?\bnicht\b",
        r"\bich kann (?:ihnen|dir) (?:dabei|damit|hierbei|bei) .{0,40}?nicht (?:weiter)?helfen\b",
    ),
    "fr": (
        r"^\W*(?:je suis )?désolée?, (?:mais )?je ne (?:peux|suis)\b",
        r"\bje ne (?:peux|puis) pas (?:vous aider|t'aider|répondre à cette|fournir)\b",
    ),
    "es": (
        r"^\W*lo siento, (?:pero )?(?:no puedo|como)\b",
        r"\bno puedo (?:ayudarte con|ayudarle con|cumplir con|proporcionar)\b",
    ),
    "pt": (
        r"^\W*(?:sinto muito|desculpe|lamento), (?:mas )?não posso\b",
        r"\bnão posso (?:ajudar com|ajudá-lo com|fornecer|atender)\b",
    ),
    "it": (
        r"^\W*mi dispiace, (?:ma )?non posso\b",
        r"\bnon posso (?:aiutarti con|aiutarla con|fornire|soddisfare)\b",
    ),
    "ru": (
        r"^\W*(?:извините|простите|к сожалению|мне жаль), (?:но )?я не могу ",
        r"(?:^|[\s,])я не могу (?:помочь (?:вам|тебе|с)|выполнить (?:эту|этот|ваш)|предоставить) ",
    ),
    "zh": (r"^\W*(?:很)?(?:抱歉|对不起|遗憾)[，,].{0,12}?(?:无法|不能)", r"我(?:无法|不能)(?:提供|协助|满足|回答)"),
    "ja": (r"^\W*申し訳(?:ありません|ございません|ない).{0,60}?(?:できません|いたしかねます|できかねます)",),
    "ko": (r"^\W*죄송(?:합니다|하지만|스럽지만).{0,60}?(?:없습니다|어렵습니다)",),
    "vi": (
        r"^\W*(?:xin lỗi|rất tiếc|tôi rất tiếc)(?:,| nhưng|, nhưng) (?:nhưng )?tôi không thể(?:\s|$)",
        r"\btôi không thể (?:giúp bạn|hỗ trợ bạn|cung cấp)\b",
    ),
}
"""Language -> patterns of refusals, in lower case, for the beginning of an answer."""

SELF_REFERENCES: dict[str, tuple[str, ...]] = {
    "en": (
        r"\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant| chatbot)?,? (?:i|my|it is)\b",
        r"\bas an? (?:ai |large |artificial intelligence )?language model\b",
        r"\b(?:i am|i'm) (?:just |only )?an? (?:ai |large |artificial intelligence )(?:language model|assistant)",
    ),
    "de": (
        r"\bals (?:ki|künstliche intelligenz)(?:[- ](?:sprachmodell|modell|assistent))? (?:kann|habe|bin|darf) ich\b",
        r"\bals (?:ein )?(?:ki-|großes )?sprachmodell\b",
    ),
    "fr": (r"\ben tant qu(?:e |'|e l')(?:modèle de langage|ia\b|intelligence artificielle)",),
    "es": (r"\bcomo (?:un )?modelo de lenguaje\b", r"\bcomo (?:una )?(?:ia|inteligencia artificial), "),
    "pt": (r"\bcomo (?:um )?modelo de linguagem\b", r"\bcomo (?:uma )?(?:ia|inteligência artificial), "),
    "it": (
        r"\b(?:come|in quanto) (?:un )?modello (?:di linguaggio|linguistico)\b",
        r"\b(?:come|in quanto) (?:un')?(?:ia|intelligenza artificiale), ",
    ),
    "ru": (r"(?:^|[\s,])как (?:языковая модель|ии|искусственный интеллект), я ",),
    "zh": (r"作为(?:一个|一名|一种)?(?:ai|人工智能|大型|大)*(?:语言模型|ai助手|人工智能)[，,]?我?",),
    "ja": (
        r"(?:ai|人工知能|大規模)言語モデル(?:として|なので|ですので|である私)",
        r"私は(?:ai|人工知能)(?:言語モデル)?(?:です|なので)",
    ),
    "ko": (r"(?:ai|인공지능|대규모) ?언어 ?모델(?:로서|이기 때문에|입니다)",),
    "vi": (r"(?:là|với tư cách là) một (?:mô hình ngôn ngữ|trí tuệ nhân tạo|ai,)",),
}
"""Language -> patterns of answers that speak of themselves as a model, in lower case."""


def _any_of(patterns: dict[str, tuple[str, ...]]) -> str:
    # Word boundaries of ASCII: Unicode's make the search many times slower on text that is not English.
    every = "|".join(f"(?:{p})" for of_language in patterns.values() for p in of_language)
    return "(?i)" + every.replace(r"\b", r"(?-u:\b)").replace("'", "['’]")


REFUSAL = _any_of(REFUSALS)
SELF_REFERENCE = _any_of(SELF_REFERENCES)


class Boilerplate(Filter):
    """Drops chats in which a message of the assistant is boilerplate.

    Reasons: `refusal`, `self_reference`.
    """

    op: Literal["boilerplate"] = "boilerplate"
    refusal_within: int = Field(160, ge=1)
    """Refusals are looked for in so many characters at the start of an answer; further on, the same words are part of
    an answer."""

    def reasons(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        message = pl.element().struct
        text = message.field("content")
        answer = message.field("role") == "assistant"
        refuses = answer & text.str.head(self.refusal_within).str.contains(REFUSAL)
        itself = answer & text.str.contains(SELF_REFERENCE)
        chat = pl.col("messages")
        reason: Any = pl.when(chat.list.eval(refuses).list.any()).then(pl.lit("refusal"))
        reason = reason.when(chat.list.eval(itself).list.any()).then(pl.lit("self_reference"))
        return frame.select(reason.otherwise(pl.lit(None, dtype=pl.String)).alias("reason"))["reason"]
