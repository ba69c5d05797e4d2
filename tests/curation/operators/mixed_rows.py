"""Chats, pairs and candidates as real sets mix them: thirteen languages, code, mark-up, pasted things, and oddities.

No operator is meant here and none may stumble: an answer is empty, a chat ends on the user or begins with the
assistant, a text is one emoji, or holds a NUL, a lone mark, a direction override or 3,000 times the same letter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from curation.conversation import Answer, Candidates, Conversation, Message, Preference, Source, canonical_json

LANGUAGES = {
    "ar": ("كيف أفتح الباب؟", "أدر المفتاح إلى اليسار ثم ادفع الباب برفق. إذا كان عالقاً فجرّب قليلاً من الزيت."),
    "de": (
        "Wie öffne ich die Tür?",
        "Dreh den Schlüssel nach links und drück sanft. Klemmt sie, hilft ein Tropfen Öl.",
    ),
    "en": ("How do I open the door?", "Turn the key to the left and push gently. If it sticks, try a drop of oil."),
    "es": ("¿Cómo abro la puerta?", "Gira la llave a la izquierda y empuja con suavidad. Si se atasca, usa aceite."),
    "fr": (
        "Comment ouvrir la porte ?",
        "Tournez la clé vers la gauche et poussez. Si elle coince, une goutte d’huile.",
    ),
    "hi": ("दरवाज़ा कैसे खोलूँ?", "चाबी को बाईं ओर घुमाइए और धीरे से धक्का दीजिए। अटके तो थोड़ा तेल डालिए।"),
    "ja": ("ドアはどうやって開けますか？", "鍵を左に回して、そっと押してください。固い場合は油を少し差してください。"),
    "ko": ("문을 어떻게 여나요?", "열쇠를 왼쪽으로 돌리고 살짝 미세요. 뻑뻑하면 기름을 조금 쳐 보세요."),
    "ru": ("Как открыть дверь?", "Поверните ключ влево и мягко толкните. Если заедает, капните немного масла."),
    "th": ("ฉันจะเปิดประตูได้อย่างไร", "หมุนกุญแจไปทางซ้ายแล้วดันเบา ๆ ถ้าติดให้หยอดน้ำมันเล็กน้อย"),
    "tr": ("Kapıyı nasıl açarım?", "Anahtarı sola çevirin ve hafifçe itin. Sıkışırsa bir damla yağ deneyin."),
    "vi": (
        "Làm sao để mở cửa?",
        "Xoay chìa khoá sang trái rồi đẩy nhẹ. Nếu cửa bị kẹt, hãy nhỏ một giọt dầu. Hoà nhã thôi.",
    ),
    "zh": ("怎么打开这扇门？", "把钥匙向左转，然后轻轻推门。如果卡住了，可以滴一点油试试。"),
}
REFUSALS = {
    "en": "As an AI language model, I cannot help with that.",
    "vi": "Là một mô hình ngôn ngữ AI, tôi không thể giúp việc này.",
    "de": "Als KI-Sprachmodell kann ich dabei leider nicht helfen.",
    "ja": "申し訳ありませんが、AI言語モデルとしてお答えできません。",
}
TEXTS = [
    "```python\nfor i in range(3):\n    print(i)\n```\nIt prints 0, 1 and 2.",
    '<p>Push it <b>gently</b>.</p><script>alert("x")</script><ul><li>one</li><li>two</li></ul>',
    "Copy code\nprint(1)\n2 / 2",
    "Write to ana.example@example.org or +84 912 345 678; card 4111 1111 1111 1111, from 192.0.2.7.",
    "too too too too too too too too too too too too too too too too too too too too too",
    "a" * 3000,
    "cafe\u0301 and caf\u00e9 and hoà and hòa and ca\u00c3\u00a9",
    "\x00 \ufeff \u200b \u202e back \ufffd \x07 \u0301",
    "👩‍👩‍👧‍👦",
    " \n\t ",
    "",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "A sentence about locks. " * 40,
    "damn, this stupid lock",
    "1 2 3 4 5 6 7 8 9 10",
    '{"name": "open", "arguments": {"door": 3}}',
]
CALL = canonical_json({"tool_calls": [{"type": "function", "function": {"name": "find", "arguments": {"n": 2}}}]})
TOOLS = canonical_json([{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}])


def source(i: int) -> Source:
    digest = hashlib.sha256(f"file {i % 3}".encode()).hexdigest()
    return Source(f"set{i % 3}", f"{i % 3}.jsonl", digest, i, ("mit", "", "apache-2.0")[i % 3])


def chats() -> list[Conversation]:
    """One `index` each; scores, labels, splits and metas on some."""
    return [
        Conversation(
            messages=tuple(messages),
            tools=TOOLS if i % 9 == 4 else None,
            label=(True, False, None)[i % 3],
            source=source(i),
            split=("train", "test", None, None)[i % 4],
            meta={"lang": "vi"} if i % 5 == 0 else {},
            scores={"given": i / 4} if i % 2 else {},
        )
        for i, messages in enumerate(_messages())
    ]


def _messages() -> Iterator[list[Message]]:
    user, assistant = (lambda text, who=who: Message(who, text) for who in ("user", "assistant"))
    for question, answer in LANGUAGES.values():
        yield [user(question), assistant(answer)]
        yield [user(question), assistant(answer + " ")]  # nearly the same
        yield [Message("system", answer), user(question), assistant(answer), user(question), assistant(question)]
    for code, text in REFUSALS.items():
        yield [user(LANGUAGES[code][0]), assistant(text)]
    for text in TEXTS:
        yield [user("Well?"), assistant(text)]
        yield [user(text)]
    yield [assistant("Hello. How can I help?"), user("Well?")]
    yield [user("Well?"), user("Well?"), assistant("Well."), assistant("Well.")]
    yield [Message("system", "Be brief.")]
    yield [user("Find it."), Message("assistant", "", CALL), Message("tool", '{"found": 2}'), assistant("Two.")]
    for _ in range(2):
        yield [m for q, a in LANGUAGES.values() for m in (user(q), assistant(a))]


def pairs() -> list[Preference]:
    """Each chat's last answer against another text, both ways round; equal ones and ties among them."""
    found = []
    for i, chat in enumerate(c for c in chats() if c.messages[-1].role == "assistant"):
        other = Message("assistant", TEXTS[i % len(TEXTS)] if i % 7 else chat.reply)
        both = ((chat.messages[-1],), (other,))[:: 1 if i % 2 else -1]
        found.append(
            Preference(
                prompt=chat.prompt,
                chosen=both[0],
                rejected=both[1],
                verdict="tie" if i % 11 == 3 else "chosen",
                weight=1.0 + i % 2,
                decided_by="people",
                source=chat.source,
                split=chat.split,
                scores={"rating_chosen": float(i % 5), "rating_rejected": 2.0} if i % 4 else {},
            )
        )
    return found


def candidates() -> list[Candidates]:
    """One to four answers a prompt, some cut off."""
    return [
        Candidates(
            prompt=chat.prompt,
            answers=tuple(
                Answer(text, f"policy{n}", finished=bool(n % 3))
                for n, text in enumerate([chat.reply, *TEXTS[i % 5 : i % 5 + i % 4]])
            ),
            source=chat.source,
            scores={"given": float(i)} if i % 2 else {},
        )
        for i, chat in enumerate(c for c in chats() if c.messages[-1].role == "assistant")
    ]


ROWS = {"conversations": chats, "preferences": pairs, "candidates": candidates}
"""Kind -> its rows."""
