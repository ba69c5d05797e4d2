"""One file a step: settings, and a call into the rooms below. Names and places only; a step is imported when used."""

BUILTIN: dict[str, str] = {
    "ai_feedback": "rlhf.steps.ai_feedback:AiFeedback",
    "base": "rlhf.steps.base:Base",
    "best_of_n": "rlhf.steps.best_of_n:BestOfN",
    "compare": "rlhf.steps.compare:Compare",
    "curate": "rlhf.steps.curate:Curate",
    "dpo": "rlhf.steps.dpo:Dpo",
    "evaluate": "rlhf.steps.evaluate:Evaluate",
    "evol_instruct": "rlhf.steps.evol_instruct:EvolInstruct",
    "export": "rlhf.steps.export:Export",
    "ingest": "rlhf.steps.ingest:Ingest",
    "magpie": "rlhf.steps.magpie:Magpie",
    "pretrain": "rlhf.steps.pretrain:Pretrain",
    "rate": "rlhf.steps.rate:Rate",
    "review": "rlhf.steps.review:Review",
    "reward": "rlhf.steps.reward:Reward",
    "sample": "rlhf.steps.sample:Sample",
    "self_instruct": "rlhf.steps.self_instruct:SelfInstruct",
    "sft": "rlhf.steps.sft:Sft",
}
