"""What the pages of chats write themselves, as patterns for both Rust's regex crate and Python's `re`.

Buttons and notices changed over the years and with the language of the page; a line that a page writes and that is not
here yet is one line more.
"""

from __future__ import annotations

COPY_CODE = (
    r"Copy code",
    r"Copy\n?Edit",
    r"Copier le code",
    r"Copiar(?: el)? c[óo]digo",
    r"Code kopieren",
    r"Copia codice",
    r"(?:Ск|К)опировать код",
    r"复制代码",
    r"複製程式碼",
    r"コードをコピーする",
    r"코드 복사",
    r"Sao chép mã",
    r"Kodu kopyala",
    r"نسخ الكود",
)
"""The button above a code block."""

LANGUAGES = (
    "abap|actionscript|ada|apache|applescript|arduino|armasm|asm|assembly|awk|bash|basic|bat|batch|brainfuck|c|c#|c\\+\\+|"
    "cmake|clojure|cobol|code|coffeescript|cpp|crystal|csharp|css|csv|cypher|d|dart|delphi|diff|django|dockerfile|elixir|"
    "elm|erlang|excel|fortran|fsharp|gherkin|glsl|go|gradle|graphql|groovy|handlebars|haskell|html|http|ini|java|"
    "javascript|jinja|json|jsx|julia|kotlin|latex|less|lisp|llvm|lua|makefile|markdown|mathematica|matlab|mermaid|mipsasm|"
    "mysql|nginx|nim|objectivec|ocaml|pascal|perl|pgsql|php|plaintext|plsql|postgresql|powershell|prolog|properties|"
    "protobuf|puppet|python|python3|r|regex|ruby|rust|sas|sass|scala|scheme|scss|shell|smalltalk|solidity|sparql|sql|"
    "stata|stylus|svelte|swift|tcl|terraform|text|toml|tsx|typescript|vb|vba|vbnet|verilog|vhdl|vim|vue|wasm|x86asm|xml|"
    "xquery|yaml"
)
"""What a page writes above a code block: the languages that its highlighter knows, and wrong guesses among them."""

FOOTERS = (
    r"Regenerate response",
    r"Stop generating",
    r"Continue generating",
    r"ChatGPT can make mistakes\. (?:Consider checking|Check) important info(?:rmation)?\.?"
    r"(?: See Cookie Preferences\.)?",
    r"(?:ChatGPT \w+ \d+ Version\.? ?)?(?:Free Research Preview\.? ?)?(?:Our goal is to make AI systems more natural "
    r"and safe to interact with\. Your feedback will help us improve\.|ChatGPT may produce inaccurate information"
    r"(?: about people, places, or facts)?\.?(?: ChatGPT \w+ \d+ Version)?)",
    r"ChatGPT \w+ \d+ Version",
    r"Is this conversation helpful so far\?",
    r"Copy\d+ chars / \d+ words",
    r"Shared via ChatGPT",
)
"""Lines below an answer: buttons, and what is said of the service."""

WARNINGS = (
    r"This (?:content|prompt) may violate our (?:content policy|content policies|usage policies|terms of use or usage "
    r"policies)\.(?: If you believe this to be in error, please submit your feedback . your input will aid our "
    r"research in this area\.| Did we get it wrong\? Please tell us by giving this response a thumbs down\.)?",
)
"""What stands below a text that the page was worried about."""

ERRORS = (
    r"Too many requests in (?:1 hour|\d+ hours?)\. Try again later\.",
    r"Only one message at a time\. Please allow any other responses to complete before sending another message, or "
    r"wait one minute\.",
    r"You(?:'|’)ve reached (?:our limit of messages per (?:hour|24 hours|day)|(?:the|your) (?:current )?(?:usage )?"
    r"(?:cap|limit) for GPT-\d[\w.]*)\.?[^\n]{0,120}",
    r"We(?:'|’)re experiencing exceptionally high demand\. Please hang tight as we work on scaling our systems\.",
    r"Our systems are a bit busy at the moment, please take a break and try again soon\.",
    r"ChatGPT is at capacity right now\.?",
    r"!?[Nn]etwork error\.?",
    r"There was an error generating a response\.?",
    r"Something went wrong, please try (?:again|reloading the conversation)\.?",
    r"(?:Something went wrong|An error occurred)\. (?:Either the engine you requested does not exist or there was "
    r"another issue processing your request\. )?If this issue persists please contact us through our help center at "
    r"(?:\[?help\.openai\.com\]?(?:\(https?://help\.openai\.com\))?)\.?",
    r"Hmm\.\.\.something seems to have gone wrong\.(?: Maybe try me again in a little bit\.)?",
    r"The server had an error while processing your request\. Sorry about that!",
    r"The server is currently overloaded with other requests\. Sorry about that![^\n]{0,120}",
    r"The message you submitted was too long, please (?:reload the conversation and )?(?:submit something shorter|edit "
    r"it and resubmit)\.",
    r"Error in (?:message|body|input) stream\.?",
    r"Conversation (?:key )?not found(?:\. Please start a new chat)?\.?",
    r"Unable to load (?:conversation|history)(?: [\w-]{8,})?\.?",
    r"Request timed out\.? Please (?:try again|retry)[^\n]{0,40}",
    r"Your session has expired\. Please log in again to continue using the app\.",
    r"Rate limit reached for [^\n]{1,200}",
)
"""What the page shows where an answer should be."""
