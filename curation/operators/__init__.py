"""The built-in operators, one idea a file, by the names that recipes use.

Nothing here is imported until a recipe names it. A new one gets its file and its line below.
"""

from __future__ import annotations

BUILTIN: dict[str, str] = {
    "balance": "curation.operators.balance:Balance",
    "boilerplate": "curation.operators.boilerplate:Boilerplate",
    "brevity": "curation.operators.brevity:Brevity",
    "complexity": "curation.operators.complexity:Complexity",
    "contradictory_pairs": "curation.operators.contradictory_pairs:ContradictoryPairs",
    "decontaminate": "curation.operators.decontaminate:Decontaminate",
    "embedding_distance": "curation.operators.embedding_distance:EmbeddingDistance",
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
    "novelty": "curation.operators.novelty:Novelty",
    "perplexity": "curation.operators.perplexity:Perplexity",
    "quality": "curation.operators.quality:Quality",
    "random": "curation.operators.random:Random",
    "repetition": "curation.operators.repetition:Repetition",
    "reward_model": "curation.operators.reward_model:RewardScore",
    "roles": "curation.operators.roles:Roles",
    "scores_to_labels": "curation.operators.scores_to_labels:ScoresToLabels",
    "select": "curation.operators.select:Select",
    "semantic_dedup": "curation.operators.semantic_dedup:SemanticDedup",
    "sharegpt_noise": "curation.operators.sharegpt_noise:SharegptNoise",
    "split": "curation.operators.split:Split",
    "stratified": "curation.operators.stratified:Stratified",
    "tied": "curation.operators.tied:Tied",
    "tokens": "curation.operators.tokens:Tokens",
    "top": "curation.operators.top:Top",
    "turns": "curation.operators.turns:Turns",
    "words": "curation.operators.words:Words",
}
