"""Rude words of nineteen languages, for `profanity` and for `toxicity` without a model: short lists, plain words alone.

A word is listed where it is rude in its own language and means nothing innocent in another one of these: `slut` is the
end in Swedish, `dick` is thick in German, so neither is here. Words count where they stand by themselves
(`curation.operators.phrases`), in the forms that are listed. This finds coarse language, not hatred: contempt in polite
words passes, and a quotation does not.
"""

from __future__ import annotations

PROFANITY: dict[str, tuple[str, ...]] = {
    "ar": ("شرموطة", "شراميط", "كس أمك", "كسمك", "ابن الكلب", "يا ابن الكلب", "ابن القحبة", "قحبة", "خول", "منيوك"),
    "de": (
        *(
            "scheiße",
            "scheisse",
            "scheiß",
            "scheiss",
            "beschissen",
            "beschissene",
            "arschloch",
            "arschlöcher",
            "wichser",
            "fotze",
        ),
        *("hurensohn", "hurensöhne", "verfickt", "verfickte", "verfickter", "ficken", "gefickt", "missgeburt"),
    ),
    "en": (
        *("fuck", "fucks", "fucked", "fucker", "fuckers", "fucking", "motherfucker", "motherfuckers", "motherfucking"),
        *("shit", "shits", "shitty", "bullshit", "asshole", "assholes", "bitch", "bitches", "bastard", "bastards"),
        *("cunt", "cunts", "dickhead", "dickheads", "wanker", "wankers", "twat", "goddamn", "bollocks", "dumbass"),
    ),
    "es": (
        *("mierda", "joder", "jodido", "jodida", "gilipollas", "cabrón", "cabrones", "puta", "putas", "hijo de puta"),
        *("hijos de puta", "coño", "pendejo", "pendejos", "chinga tu madre", "me cago en"),
    ),
    "fr": (
        *("merde", "putain", "connard", "connards", "connasse", "enculé", "enculés", "salope", "salopes", "foutre"),
        *("ta gueule", "fils de pute", "nique ta mère", "bordel de merde", "trou du cul"),
    ),
    "hi": ("चूतिया", "चूतिये", "मादरचोद", "बहनचोद", "भोसड़ी", "भोसडीके", "हरामज़ादा", "हरामजादा", "रंडी", "गांडू"),
    "id": ("bangsat", "bajingan", "kontol", "memek", "ngentot", "jancok", "keparat", "brengsek"),
    "it": (
        *("cazzo", "cazzi", "merda", "stronzo", "stronza", "stronzi", "stronzate", "vaffanculo", "puttana", "puttane"),
        *("figlio di puttana", "coglione", "coglioni", "porca troia"),
    ),
    "ja": (
        "クソ野郎",
        "くそ野郎",
        "糞野郎",
        "くそったれ",
        "クソったれ",
        "ぶっ殺す",
        "死ねよ",
        "クソが",
        "くたばれ",
        "キチガイ",
    ),
    "ko": ("씨발", "시발놈", "씹새끼", "개새끼", "병신새끼", "좆같은", "좆같", "존나", "지랄하네", "꺼져버려"),
    "nl": (
        *("klootzak", "klootzakken", "godverdomme", "kutwijf", "kutzooi", "klerelijer", "teringlijer", "hoerenjong"),
        *("tyfuslijer", "kankerlijer", "rotzak"),
    ),
    "pl": (
        *("kurwa", "kurwy", "kurwo", "chuj", "chuja", "chujowy", "pierdolić", "pierdolę", "pierdol się", "spierdalaj"),
        *("wypierdalaj", "jebać", "jebany", "zajebisty", "skurwysyn", "skurwysyny", "dupek"),
    ),
    "pt": (
        *("caralho", "porra", "foda-se", "filho da puta", "filhos da puta", "cuzão", "arrombado", "vai tomar no cu"),
        *("puta que pariu", "buceta"),
    ),
    "ru": (
        *("блядь", "блять", "бля", "сука блять", "хуй", "хуйня", "хуёвый", "хуй с ним", "пизда", "пиздец", "ебать"),
        *("ёбаный", "ебаный", "еблан", "мудак", "мудаки", "гандон", "заебал", "нахуй", "охуенно"),
    ),
    "th": ("เหี้ย", "ไอ้สัตว์", "ไอ้สัส", "อีดอก", "เย็ดแม่", "แม่งเอ๊ย", "ไอ้ควาย", "อีควาย", "ส้นตีน", "หน้าหี"),
    "tr": (
        *(
            "siktir",
            "siktir git",
            "sikeyim",
            "orospu",
            "orospu çocuğu",
            "amına koyayım",
            "amina koyayim",
            "amk",
            "göt herif",
            "yarrak",
        ),
        *("piç kurusu", "gavat"),
    ),
    "uk": ("хуй", "хуйня", "підарас", "підараси", "курва", "блядь", "пизда", "пиздець", "йобаний", "довбойоб", "мудак"),
    "vi": ("địt", "địt mẹ", "đụ má", "đụ mẹ", "đéo", "đcm", "vãi lồn", "con cặc", "đồ chó đẻ", "mẹ kiếp", "đĩ mẹ"),
    "zh": (
        "他妈的",
        "他媽的",
        "操你妈",
        "操你媽",
        "傻逼",
        "傻屄",
        "王八蛋",
        "狗娘养的",
        "狗娘養的",
        "去你妈的",
        "滚你妈的",
        "婊子",
    ),
}
"""Language -> words."""
