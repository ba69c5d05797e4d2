"""Each phrase on an answer that must go, and on one close to it that must stay."""

from __future__ import annotations

import re

import pytest

from curation.conversation import Conversation, Message
from curation.operators.boilerplate import REFUSALS, SELF_REFERENCES, Boilerplate

# language -> (patterns in their order: (must go, must stay)); each pattern has its line.
REFUSED: dict[str, list[tuple[str, str]]] = {
    "en": [
        ("I'm sorry, but I can’t assist with that request.", "I'm sorry I can't attend your party on Friday."),
        ("I apologize, but I am unable to fulfill this request.", "I apologize for the delay; the parcel left today."),
        (
            "Unfortunately I cannot provide that information.",
            "I cannot provide a definitive answer, for it depends on the moss.",
        ),
        ("I must respectfully decline to write this.", "Prices must decline before people buy."),
        ("That goes against my guidelines.", "That goes against the grain of the wood."),
    ],
    "de": [
        ("Es tut mir leid, aber ich kann diese Anfrage nicht beantworten.", "Es tut mir leid für die Verspätung."),
        ("Ich kann Ihnen dabei leider nicht weiterhelfen.", "Ich kann dir bei der Wäsche helfen."),
    ],
    "fr": [
        ("Je suis désolé, mais je ne peux pas répondre.", "Je suis désolé pour le retard du train."),
        ("Malheureusement, je ne peux pas vous aider.", "Je ne peux pas manger de noix."),
    ],
    "es": [
        ("Lo siento, pero no puedo hacer eso.", "Lo siento mucho por la espera."),
        ("No puedo ayudarte con esa petición.", "No puedo comer nueces."),
    ],
    "pt": [
        ("Desculpe, mas não posso responder a isso.", "Desculpe a demora da resposta."),
        ("Não posso fornecer essa informação.", "Não posso comer nozes."),
    ],
    "it": [
        ("Mi dispiace, ma non posso farlo.", "Mi dispiace per il ritardo."),
        ("Non posso fornire queste informazioni.", "Non posso mangiare noci."),
    ],
    "ru": [
        ("К сожалению, я не могу ответить на этот вопрос.", "К сожалению, магазин закрыт."),
        ("Увы, я не могу предоставить такие данные.", "Сегодня я не могу уснуть."),
    ],
    "zh": [
        ("很抱歉，我无法回答这个问题。", "抱歉让您久等了，结果如下。"),
        ("我不能提供这样的内容。", "我不能喝牛奶。"),
    ],
    "ja": [("申し訳ありませんが、その質問にはお答えできません。", "申し訳ありません、遅くなりました。")],
    "ko": [("죄송하지만 그 요청은 도와드릴 수 없습니다.", "죄송합니다, 조금 늦었어요.")],
    "vi": [
        ("Xin lỗi, nhưng tôi không thể trả lời câu hỏi này.", "Xin lỗi vì đã trả lời muộn."),
        ("Rất tiếc là tôi không thể giúp bạn việc đó.", "Tôi không thể ăn cay."),
    ],
}
SELF: dict[str, list[tuple[str, str]]] = {
    "en": [
        ("Well. As an AI, I have no favourite colour.", "Seen as an AI winter, it was a time of little money."),
        ("That said, as a language model this is all I know.", "GPT-2 was trained as a model of text."),
        ("I am an AI language model and have no body.", "I am an artist and an assistant to the mayor."),
    ],
    "de": [
        ("Als KI habe ich keine Gefühle.", "Als Kind hatte ich keine Angst."),
        ("Als Sprachmodell kenne ich das nicht.", "Ein Sprachmodell sagt Wörter voraus."),
    ],
    "fr": [("En tant que modèle de langage, je ne sais pas.", "En tant que modèle de vertu, il plaît.")],
    "es": [
        ("Como modelo de lenguaje, no tengo opiniones.", "Un modelo de lenguaje predice palabras."),
        ("Como una IA, no tengo cuerpo.", "Como una idea, no tiene cuerpo."),
    ],
    "pt": [
        ("Como um modelo de linguagem, não tenho opinião.", "Um modelo de linguagem prevê palavras."),
        ("Como uma IA, não tenho corpo.", "Como uma ideia, não tem corpo."),
    ],
    "it": [
        ("Come modello linguistico, non ho opinioni.", "Un modello linguistico predice parole."),
        ("In quanto IA, non ho un corpo.", "In quanto idea, non ha un corpo."),
    ],
    "ru": [("Знаете, как языковая модель, я не имею мнения.", "Это работает как языковая модель прошлого века.")],
    "zh": [("作为一个人工智能语言模型，我没有感情。", "语言模型可以预测下一个词。")],
    "ja": [
        ("AI言語モデルとして、私には感情がありません。", "言語モデルは次の単語を予測します。"),
        ("私はAIなので、味がわかりません。", "私はあいさつが苦手です。"),
    ],
    "ko": [("저는 AI 언어 모델이기 때문에 감정이 없습니다.", "언어 모델은 다음 단어를 예측합니다.")],
    "vi": [("Là một mô hình ngôn ngữ, tôi không có cảm xúc.", "Mô hình ngôn ngữ dự đoán từ tiếp theo.")],
}


def reason(answer: str, **settings: int) -> str | None:
    row = Conversation(messages=(Message("user", "As an AI language model, I ask."), Message("assistant", answer)))
    return Boilerplate(**settings).reason(row)


@pytest.mark.parametrize("language", REFUSALS)
def test_refusals(language: str) -> None:
    for pattern, (goes, stays) in zip(REFUSALS[language], REFUSED[language], strict=True):
        assert re.search(pattern, goes.replace("’", "'").lower()), f"{pattern} is not what finds {goes!r}"
        assert (reason(goes), reason(stays)) == ("refusal", None), goes


@pytest.mark.parametrize("language", SELF_REFERENCES)
def test_self_references(language: str) -> None:
    for pattern, (goes, stays) in zip(SELF_REFERENCES[language], SELF[language], strict=True):
        assert re.search(pattern, goes.lower()), f"{pattern} is not what finds {goes!r}"
        assert (reason(goes), reason(stays)) == ("self_reference", None), goes


def test_a_refusal_counts_only_where_an_answer_begins() -> None:
    late = "You could write to the landlord. " * 6 + "If he says that I cannot provide that, go on."
    assert reason(late) is None
    assert reason(late, refusal_within=400) == "refusal"


@pytest.mark.parametrize(
    "answer", ["I can't help but smile.", "I can't complete a marathon yet.", "I won't support him."]
)
def test_what_people_cannot_do_is_no_refusal(answer: str) -> None:
    assert reason(answer) is None


def test_any_answer_of_a_chat_counts_and_no_question_does() -> None:
    messages = (
        Message("user", "q"),
        Message("assistant", "I'm sorry, but I can't help you with that."),
        Message("user", "q"),
        Message("assistant", "Fine."),
    )
    assert Boilerplate().reason(Conversation(messages=messages)) == "refusal"
    assert Boilerplate().reason(Conversation(messages=messages[2:])) is None
