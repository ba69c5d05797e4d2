"""For each phrase of `boilerplate`, in its order: an answer that goes because of it, and an honest one that stays.

What stays holds words of the phrase, said by a person of themselves, or of a model by somebody else.
"""

from __future__ import annotations

REFUSED: dict[str, list[tuple[str, str]]] = {
    "ar": [
        ("عذرًا، لا أستطيع الرد على هذا الطلب.", "عذرًا على التأخير، وصلت الرسالة أمس."),
        ("للأسف لا يمكنني تقديم هذه المعلومات.", "لا يمكنني النوم في هذا الحر."),
    ],
    "de": [
        ("Es tut mir leid, aber ich kann das nicht schreiben.", "Es tut mir leid, dass das Paket nicht da ist."),
        ("Ich kann Ihnen dabei leider nicht weiterhelfen.", "Ich kann dir dabei helfen, nur heute nicht."),
        ("Ich darf diese Frage leider nicht beantworten.", "Ich kann diese Frage gern beantworten."),
    ],
    "en": [
        ("I'm sorry, but I can’t write that.", "I'm sorry I can't attend your party on Friday."),
        ("I apologize, but I am unable to write this.", "I apologize for the delay: I cannot run faster."),
        ("Unfortunately I cannot provide that information.", "I cannot provide for a horse, says the farmer."),
        ("I must respectfully decline to write this.", "I must admit that prices decline."),
        ("That goes against my guidelines.", "That goes against the grain of the wood."),
        ("I am not programmed to discuss this.", "I am not allowed to eat nuts."),
        ("It would be inappropriate for me to say.", "It is not appropriate for children under ten."),
        ("I'm not comfortable writing this story.", "I'm not comfortable in these shoes."),
    ],
    "es": [
        ("Lo siento, pero no puedo hacer eso.", "Lo siento mucho por la espera; el tren no puede salir."),
        ("Por desgracia no puedo ayudarte con esa petición.", "No puedo comer nueces."),
        ("No me es posible responder a eso.", "No me es posible viajar en agosto."),
    ],
    "fa": [
        ("متأسفم، اما نمی‌توانم به این پرسش پاسخ بدهم.", "متأسفم که دیر شد، بسته امروز رسید."),
        ("در این باره نمی‌توانم به شما کمک کنم.", "از شدت گرما نمی‌توانم بخوابم."),
    ],
    "fr": [
        ("Je suis désolé, mais je ne peux pas l'écrire.", "Je suis désolé pour le retard, il ne peut pas partir."),
        ("Malheureusement, je ne peux pas vous aider.", "Je ne peux pas manger de noix."),
        ("Je ne suis pas en mesure de répondre à cela.", "Je ne suis pas en mesure de courir ce matin."),
    ],
    "hi": [
        ("क्षमा करें, मैं यह नहीं कर सकता।", "क्षमा करें, मैं कल देर से आया था।"),
        ("मैं आपकी इसमें मदद नहीं कर सकता।", "मैं इस गर्मी में सो नहीं सकता।"),
    ],
    "id": [
        ("Maaf, saya tidak dapat menulis itu.", "Maaf atas keterlambatannya, saya tidak bisa tidur."),
        ("Sayangnya saya tidak dapat memberikan informasi itu.", "Saya tidak bisa makan kacang."),
    ],
    "it": [
        ("Mi dispiace, ma non posso farlo.", "Mi dispiace per il ritardo, il treno non poteva partire."),
        ("Purtroppo non posso fornire queste informazioni.", "Non posso mangiare noci."),
        ("Non sono in grado di rispondere a questo.", "Non sono in grado di correre dopo l'operazione."),
    ],
    "ja": [
        ("申し訳ありませんが、お手伝いできません。", "申し訳ありません、遅くなりました。資料をお送りします。"),
        ("残念ながら、このようなリクエストには対応できません。", "この質問には答えが二つあります。"),
    ],
    "ko": [
        ("죄송하지만 그 일은 제가 할 수 없습니다.", "죄송합니다, 조금 늦었어요."),
        ("해당 질문에 답변할 수 없습니다.", "그 질문은 아직 아무도 답할 수 없습니다."),
    ],
    "nl": [
        ("Het spijt me, maar ik kan dat niet schrijven.", "Het spijt me van gisteren, het pakket kwam niet."),
        ("Ik kan je hiermee helaas niet helpen.", "Ik kan je hiermee helpen, maar niet vandaag."),
    ],
    "pl": [
        ("Przepraszam, ale nie mogę tego napisać.", "Przepraszam za spóźnienie, nie mogłem znaleźć klucza."),
        ("Niestety nie mogę udzielić takich informacji.", "Nie mogę spać w taki upał."),
    ],
    "pt": [
        ("Desculpe, mas não posso responder a isso.", "Desculpe a demora, o trem não pode partir."),
        ("Infelizmente não posso fornecer essa informação.", "Não posso comer nozes."),
        ("Não sou capaz de responder a essa pergunta.", "Não consigo responder por ele."),
    ],
    "ru": [
        ("К сожалению, я не могу ответить.", "К сожалению, магазин закрыт, и войти я не могу."),
        ("Увы, я не могу предоставить такие данные.", "Сегодня я не могу уснуть."),
        ("Прости, я не в состоянии ответить на это.", "Я не в состоянии бежать дальше, сказал он."),
    ],
    "th": [
        ("ขออภัย ไม่สามารถเขียนเรื่องนี้ได้", "ขออภัยที่ส่งช้า พัสดุออกเดินทางแล้ววันนี้"),
        ("น่าเสียดายที่ผมไม่สามารถให้ข้อมูลนั้นได้", "ผมไม่สามารถกินถั่วได้"),
    ],
    "tr": [
        ("Üzgünüm, sana yardımcı olamam.", "Üzgünüm, geç kaldım; tren gelmedi."),
        ("Kurallarım gereği bu soruya cevap veremem.", "Bu soruya cevap vermek için zaman lazım."),
    ],
    "uk": [
        ("На жаль, я не можу відповісти.", "На жаль, крамниця зачинена, і зайти я не можу."),
        ("Вибач, я не можу надати таку інформацію.", "Сьогодні я не можу заснути."),
    ],
    "vi": [
        ("Xin lỗi, nhưng tôi không thể viết điều đó.", "Xin lỗi vì đã trả lời muộn, tôi không thể ngủ được."),
        ("Rất tiếc là tôi không thể giúp bạn việc đó.", "Tôi không thể ăn cay."),
        ("Tôi không được phép cung cấp thông tin này.", "Tôi không được phép đỗ xe ở đây."),
    ],
    "zh": [
        ("很抱歉，这个请求无法完成。", "抱歉让您久等了，结果如下。"),
        ("根据规定我不能提供这样的内容。", "我不能喝牛奶。"),
    ],
}
SELF: dict[str, list[tuple[str, str]]] = {
    "ar": [
        ("بصفتي نموذج لغة أتعلم من النصوص.", "بصفتي معلمًا أشرح نموذج اللغة لطلابي."),
        ("كنموذج لغوي، لا أملك مشاعر.", "يعمل هذا البرنامج كنموذج لغوي منذ سنوات."),
    ],
    "de": [
        ("Als KI habe ich keine Gefühle.", "Als Kind habe ich nie gefroren."),
        ("Als Sprachmodell kenne ich das nicht.", "BERT dient als Sprachmodell, das ich mag."),
    ],
    "en": [
        ("Well. As an AI, I have no favourite colour.", "Seen as an AI winter, it was a time of little money."),
        ("That said, as a language model I know little.", "BERT can be used as a language model, too."),
        ("I am an AI language model and have no body.", "I am an artist and an assistant to the mayor."),
        ("Hello, my name is ChatGPT.", "My name is Gita, and I wrote about ChatGPT."),
        ("I was trained by OpenAI.", "The model was trained by OpenAI; I was trained by my aunt."),
        ("My knowledge cutoff is 2021.", "My knowledge of wood only goes so far."),
    ],
    "es": [
        ("Como modelo de lenguaje, no tengo opiniones.", "BERT sirve como modelo de lenguaje, y es rápido."),
        ("Como una IA, aprendo de textos.", "Como una idea, no tiene cuerpo."),
    ],
    "fa": [("به‌عنوان یک مدل زبانی احساسی ندارم.", "از این برنامه به‌عنوان یک مدل زبانی استفاده می‌شود.")],
    "fr": [
        ("En tant que modèle de langage, je ne sais pas.", "BERT sert en tant que modèle de langage, et il est bon.")
    ],
    "hi": [("एक एआई भाषा मॉडल के रूप में, मेरे पास शरीर नहीं है।", "एक शिक्षक के रूप में, मैं एआई पढ़ाता हूँ।")],
    "id": [("Sebagai model bahasa, saya tidak punya perasaan.", "Sebagai guru, saya menjelaskan model bahasa.")],
    "it": [
        ("Come modello linguistico, non ho opinioni.", "BERT serve come modello linguistico, ed è veloce."),
        ("In quanto IA, imparo dai testi.", "In quanto idea, non ha un corpo."),
    ],
    "ja": [
        ("言語モデルとして、私には感情がありません。", "BERTは大規模言語モデルとして知られています。"),
        ("私はAIなので、味がわかりません。", "私はAIの本を読みました。"),
    ],
    "ko": [
        ("저는 AI 언어 모델이기 때문에 감정이 없습니다.", "BERT는 대규모 언어 모델입니다."),
        ("언어 모델로서 저의 지식에는 한계가 있습니다.", "이것은 언어 모델로서 널리 쓰입니다."),
    ],
    "nl": [
        ("Als AI heb ik geen gevoelens.", "Als kind heb ik daar gewoond."),
        ("Als taalmodel weet ik dat niet.", "BERT dient als taalmodel, zo leerde ik."),
    ],
    "pl": [
        ("Jako model językowy nie mam uczuć.", "BERT służy jako model językowy i działa szybko."),
        ("Jako AI nie mam ciała.", "Jako artysta nie mam czasu."),
    ],
    "pt": [
        ("Como um modelo de linguagem, não tenho opinião.", "BERT serve como um modelo de linguagem, e é rápido."),
        ("Como uma IA, aprendo com textos.", "Como uma ideia, não tem corpo."),
    ],
    "ru": [("Знаете, как языковая модель, я не имею мнения.", "Это работает как языковая модель, я проверил.")],
    "th": [("ในฐานะโมเดลภาษา ฉันไม่มีความรู้สึก", "ในฐานะครู ฉันสอนเรื่องโมเดลภาษา")],
    "tr": [("Bir yapay zeka olarak benim duygularım yok.", "Bir dil modeli olarak BERT hızlıdır.")],
    "uk": [("Знаєте, як мовна модель, я не маю думки.", "Це працює як мовна модель, я перевірив.")],
    "vi": [
        (
            "Với tư cách là một mô hình ngôn ngữ, tôi học từ văn bản.",
            "Với tư cách là một giáo viên, tôi dạy về ngôn ngữ.",
        ),
        ("Là một mô hình ngôn ngữ, tôi không có cảm xúc.", "BERT là một mô hình ngôn ngữ ra đời năm 2018."),
    ],
    "zh": [("作为一个人工智能语言模型，我没有感情。", "作为人工智能的一个分支，语言模型预测下一个词。")],
}
