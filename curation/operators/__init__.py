"""The built-in operators, one idea a file, by the names that recipes use.

Nothing here is imported until a recipe names it. A new one gets its file and its line below.
"""

from __future__ import annotations

BUILTIN: dict[str, str] = {
    "boilerplate": "curation.operators.boilerplate:Boilerplate",
    "brevity": "curation.operators.brevity:Brevity",
    "contradictory_pairs": "curation.operators.contradictory_pairs:ContradictoryPairs",
    "decontaminate": "curation.operators.decontaminate:Decontaminate",
    "exact_dedup": "curation.operators.exact_dedup:ExactDedup",
    "first_sentence": "curation.operators.first_sentence:FirstSentence",
    "html_to_markdown": "curation.operators.html_to_markdown:HtmlToMarkdown",
    "identical_pair": "curation.operators.identical_pair:IdenticalPair",
    "ifd": "curation.operators.ifd:Ifd",
    "keep": "curation.operators.keep:Keep",
    "language": "curation.operators.language:Language",
    "language_score": "curation.operators.language_score:LanguageScore",
    "length": "curation.operators.length:Length",
    "length_gap": "curation.operators.length_gap:LengthGap",
    "llm_judge": "curation.operators.llm_judge:LlmJudge",
    "margin": "curation.operators.margin:Margin",
    "near_dedup": "curation.operators.near_dedup:NearDedup",
    "normalize": "curation.operators.normalize:Normalize",
    "perplexity": "curation.operators.perplexity:Perplexity",
    "random": "curation.operators.random:Random",
    "reward_model": "curation.operators.reward_model:RewardScore",
    "roles": "curation.operators.roles:Roles",
    "sharegpt_noise": "curation.operators.sharegpt_noise:SharegptNoise",
    "scores_to_labels": "curation.operators.scores_to_labels:ScoresToLabels",
    "split": "curation.operators.split:Split",
    "tied": "curation.operators.tied:Tied",
    "tokens": "curation.operators.tokens:Tokens",
    "turns": "curation.operators.turns:Turns",
    "words": "curation.operators.words:Words",
}
