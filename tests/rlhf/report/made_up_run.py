"""A run that never happened, in the shapes that the engine writes: all kinds of steps and states, and hostile text."""

from __future__ import annotations

import copy
import math
from typing import Any

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "</style><script>document.title = 'owned'</script>",
    "<img src=x onerror=\"document.title = 'owned'\">",
    '" onmouseover="document.title=\'owned\'" x="',
    "javascript:document.title='owned'",
    "<svg/onload=document.title='owned'>",
    "{{ 7 * 7 }} {% include 'page.css' %}",
    "]]></title><script>document.title = 'owned'</script>",
    "<a href=\"javascript:document.title='owned'\">click</a>",
    "&lt;b&gt; &amp; <b>bold</b>",
]
RIGHT_TO_LEFT = "كيف حالك اليوم؟ \u202eevil\u202c שלום"
LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitän" * 12
EMOJI = "👩\u200d🚀🏳️\u200d🌈 ok 你好，世界 नमस्ते"


def manifest(name: str, step: str, kind: str, **more: Any) -> dict[str, Any]:
    """A manifest with every field that the engine writes."""
    rows = more.pop("rows", None)
    parts = more.pop("parts", {})
    made = {"kind": kind, "digest": "ab" * 32, "rows": rows, "parts": parts, "bytes": more.pop("bytes", 12_345)}
    plain: dict[str, Any] = {
        "format": 1,
        "key": "cd" * 32,
        "step": step,
        "name": name,
        "settings": {"step": step},
        "inputs": {},
        "sources": {},
        "output": made,
        "side": {},
        "ledger": None,
        "metrics": {},
        "curves": {},
        "examples": [],
        "warnings": [],
        "decided_by": None,
        "started": 1_700_000_000.0,
        "seconds": 1.0,
        "peak_memory_mb": 0.0,
        "tokens": {},
        "usd": 0.0,
        "versions": {"python": "3.11.9"},
        "numerics": {},
        "resumed": 0,
    }
    return {**plain, **more}


def curve(start: float, end: float, n: int = 30) -> list[list[float]]:
    """A falling or rising curve with some noise that is the same each time."""
    return [
        [i, end + (start - end) * math.exp(-i / (n / 4)) + 0.05 * abs(start - end) * math.sin(2.7 * i)]
        for i in range(1, n + 1)
    ]


NEEDS = {
    "base": [],
    "chats": [],
    "asked": [],
    "curated": ["chats"],
    "prompts": ["asked"],
    "sft": ["curated", "base"],
    "answers": ["prompts", "sft"],
    "edited": ["answers"],
    "pairs": ["edited"],
    "reward": ["pairs", "sft"],
    "dpo": ["pairs", "sft"],
    "judge_answers": ["prompts", "sft"],
    "judge_edited": ["judge_answers"],
    "judge_pairs": ["judge_edited"],
    "judge": ["judge_pairs", "base"],
    "report": ["dpo", "sft", "prompts", "judge", "reward"],
    "release": ["dpo", "report"],
}
TYPES = {
    "base": "base",
    "chats": "ingest",
    "asked": "ingest",
    "curated": "curate",
    "prompts": "curate",
    "sft": "sft",
    "answers": "sample",
    "edited": "curate",
    "pairs": "compare",
    "reward": "reward",
    "dpo": "dpo",
    "judge_answers": "sample",
    "judge_edited": "curate",
    "judge_pairs": "compare",
    "judge": "reward",
    "report": "evaluate",
    "release": "export",
}
SECONDS = dict(zip(NEEDS, [19, 0.4, 0.1, 0.6, 0.2, 74, 31, 0.2, 0.1, 28, 61, 24, 0.2, 0.1, 22, 66, 3], strict=True))


def record(**states: str) -> dict[str, Any]:
    """A run's record in which all steps are done but those that are named."""
    steps = {
        name: {
            "type": TYPES[name],
            "state": states.get(name, "done"),
            "key": "cd" * 32,
            "seconds": 0.0 if states.get(name) in ("skipped", "waiting") else SECONDS[name],
            "depends_on": NEEDS[name],
            "message": "",
            "hint": "",
        }
        for name in NEEDS
    }
    return {
        "recipe": "quickstart",
        "path": "recipes/quickstart.yaml",
        "started": 1_700_000_000.0,
        "seconds": 331.2,
        "exit_code": 0,
        "profile": {"store": None, "training": {"num_processes": 1, "per_device_train_batch_size": 8}},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "trl": "1.16.0", "rlhf-curation": "0.1.0"},
        "steps": steps,
    }


LEDGER_READ = {
    "readings": [
        {
            "source": "quickstart_chats.jsonl",
            "records": 335,
            "used": 319,
            "malformed": {"bad_json": 3, "no_messages": 4, "unknown_role": 3, "not_text": 1, "not_an_object": 5},
            "rows": 319,
            "bytes_lost": 0,
        }
    ],
    "entries": [],
}
LEDGER_CURATE = {
    "readings": [],
    "entries": [
        {"operator": "normalize", "made": 319, "children": 0, "kept": 319, "dropped": {}, "replaced": 0, "edited": 12},
        {"operator": "roles", "made": 319, "kept": 302, "dropped": {"repeated_role": 4, "empty_message": 13}},
        {"operator": "boilerplate", "made": 302, "kept": 292, "dropped": {"refusal": 4, "ai_model": 6}},
        {"operator": "exact_dedup", "made": 292, "kept": 278, "dropped": {"duplicate": 14}},
        {"operator": "split_long", "made": 278, "children": 4, "kept": 280, "dropped": {}, "replaced": 2},
        {"operator": "words", "made": 280, "kept": 280, "dropped": {}},
        {"operator": "keep", "made": 280, "kept": 262, "dropped": {"not_kept": 18}},
    ],
}


def pictures() -> dict[str, Any]:
    """Scores and a map, with hostile names."""
    points = [f"{(i * 7919) % 1001},{(i * 104729) % 1001},{i % 3},{int(i % 4 == 0)}" for i in range(120)]
    words = {"low": 1.0, "high": 900.0, "log": False, "kept": [0, *range(39, 0, -1)], "dropped": [18, *[0] * 39]}
    ifd = {"low": 0.01, "high": 90.0, "log": True, "kept": [3] * 40, "dropped": [1] * 40}
    return {
        "histograms": [
            {"score": "words", "without": 39, **words},
            {"score": HOSTILE[2], "without": 0, **ifd},
        ],
        "map": {
            "by": "character n-grams",
            "of": 319,
            "points": " ".join(points),
            "sources": [HOSTILE[0], RIGHT_TO_LEFT, LONG_WORD],
            "landmarks": [[0, HOSTILE[0]], [40, RIGHT_TO_LEFT], [80, LONG_WORD]],
        },
    }


DROPPED_EXAMPLES = [
    {"dropped by": "roles", "reason": "repeated_role", "text": text}
    for text in (*HOSTILE, RIGHT_TO_LEFT, "x" * 1_000_000, f"{LONG_WORD}\n{EMOJI}")
]


def manifests() -> dict[str, dict[str, Any]]:
    """Manifests of all steps of `record`."""
    hostile_examples = [
        {"prompt": text, "answers": {"sft": text + " " + LONG_WORD, "dpo": text}, "verdict": text} for text in HOSTILE
    ]
    rate = {"mean": 0.77, "low": 0.70, "high": 0.83}
    evaluation = {
        "dpo": {
            "brevity": {"win_rate": rate, "by": "a rule", "n": 64, "wins": 47, "ties": 5, "losses": 12},
            "reward_model": {
                "win_rate": {"mean": 0.61, "low": 0.49, "high": 0.72},
                "n": 64,
                "ties": 0,
                "by": "a reward model",
            },
            "win_rate": rate,
            "finished": 0.58,
            "perplexity": 8.91,
            "repetition": 0.021,
            "words": 22.4,
            "empty": 0.0,
            "loss": {"mean": 2.31, "low": 2.2, "high": 2.44, "tokens": 3100, "chats": 26, "left_out": 0},
        },
        "sft": {"finished": 0.03, "perplexity": 6.20, "repetition": 0.034, "words": 36.1, "empty": 0.0},
        "rewards": {
            "reward": {
                "accuracy": {"mean": 0.81, "low": 0.7, "high": 0.9},
                "length_accuracy": {"mean": 0.3, "low": 0.2, "high": 0.4},
                "n": 48,
            },
        },
        "judged_by": ["brevity", "reward_model"],
        "prompts": 64,
    }
    examples = [
        {
            "prompt": "Why do dogs wag their tails?",
            "answers": {
                "sft": "Dogs wag their tails to show how they feel. A wide, loose wag often means that a dog is happy, "
                "while a stiff one may mean that it is unsure. The tail also spreads the",
                "dpo": "Dogs wag their tails to show how they feel.",
            },
            "verdict": "dpo",
        },
        {"prompt": RIGHT_TO_LEFT, "answers": {"sft": RIGHT_TO_LEFT, "dpo": EMOJI}, "verdict": "tie"},
        *hostile_examples,
    ]
    rendered = [
        [["<|im_start|>user\nWhy do dogs wag their tails?<|im_end|>\n<|im_start|>assistant\n", False],
         ["Dogs wag their tails to show how they feel.<|im_end|>", True], ["\n", False]],
        [[HOSTILE[0] + RIGHT_TO_LEFT, False], [HOSTILE[2] + LONG_WORD + EMOJI, True]],
    ]  # fmt: skip
    names = {"dpo": "dpo", "sft": "sft", "reward": "reward"}
    judges = [{"op": "brevity"}, {"op": "reward_model", "reward": "ab" * 32}]
    trained = {
        "step": "sft",
        "data": ["ab" * 32],
        "lora_r": 8,
        "learning_rate": 2e-4,
        "packing": False,
        "max_steps": None,
    }
    sft_curves = {"loss": curve(2.4, 1.7), "learning_rate": curve(2e-4, 1e-6), "grad_norm": curve(3, 1)}
    dpo_curves = {"loss": curve(0.69, 0.42, 15), "accuracy": curve(0.5, 0.95, 15), "margin": curve(0, 1.4, 15)}
    made = {
        "base": manifest("base", "base", "policy", bytes=540_000_000, peak_memory_mb=1800.0),
        "chats": manifest("chats", "ingest", "conversations", rows=319, ledger=LEDGER_READ),
        "asked": manifest("asked", "ingest", "conversations", rows=300),
        "curated": manifest(
            "curated",
            "curate",
            "conversations",
            rows=262,
            parts={"train": 236, "test": 26},
            ledger=LEDGER_CURATE,
            pictures=pictures(),
            examples=DROPPED_EXAMPLES,
            settings={"step": "curate", "operators": [{"op": "words"}, {"op": "keep", "condition": "words >= 16"}]},
        ),
        "prompts": manifest(
            "prompts", "curate", "conversations", rows=300, parts={"train": 135, "test": 90, "judge": 75}
        ),
        "sft": manifest(
            "sft",
            "sft",
            "policy",
            bytes=9_800_000,
            curves=sft_curves,
            examples=[{"rendered": r} for r in rendered],
            tokens={"trained": 24_210},
            peak_memory_mb=2480.0,
            warnings=["28 optimizer steps are few: expect little change"],
            settings=trained,
            sources={"data.0": "curated.train"},
            inputs={"data.0": "ab" * 32 + ".train"},
            numerics={"device": "cpu", "dtype": "bfloat16", "threads": 2},
        ),
        "answers": manifest("answers", "sample", "candidates", rows=135, tokens={"prompt": 3200, "generated": 6320}),
        "edited": manifest("edited", "curate", "candidates", rows=121),
        "pairs": manifest("pairs", "compare", "preferences", rows=118, decided_by="brevity"),
        "reward": manifest(
            "reward", "reward", "reward model", curves={"loss": curve(0.7, 0.3, 15), "accuracy": curve(0.5, 0.9, 15)}
        ),
        "dpo": manifest("dpo", "dpo", "policy", curves=dpo_curves, tokens={"trained": 18_020}, peak_memory_mb=3110.0),
        "judge_answers": manifest("judge_answers", "sample", "candidates", rows=75),
        "judge_edited": manifest("judge_edited", "curate", "candidates", rows=66),
        "judge_pairs": manifest("judge_pairs", "compare", "preferences", rows=64, decided_by="brevity"),
        "judge": manifest("judge", "reward", "reward model", curves={"loss": curve(0.7, 0.35, 8)}),
        "report": manifest(
            "report",
            "evaluate",
            "evaluation",
            metrics=evaluation,
            examples=examples,
            settings={
                "step": "evaluate",
                "policies": ["ab" * 32],
                "baseline": "ab" * 32,
                "judges": judges,
                "names": names,
            },
            sources={"policies.0": "dpo", "baseline": "sft", "judges.1.reward": "judge", "prompts": "prompts.test"},
        ),
        "release": manifest("release", "export", "release", bytes=270_000_000),
    }
    return copy.deepcopy(made)


def failed() -> tuple[dict[str, Any], dict[str, Any]]:
    """A run that stopped at sft."""
    later = [n for n in NEEDS if list(NEEDS).index(n) > list(NEEDS).index("sft")]
    run = record(sft="failed", **dict.fromkeys(later, "skipped"))
    run["exit_code"] = 1
    run["steps"]["sft"].update(
        message=f"the child was killed (signal 9) {HOSTILE[0]}", hint="lower `per_device_train_batch_size`"
    )
    for name in later:
        run["steps"][name]["message"] = "stopped after sft"
    return run, {n: m for n, m in manifests().items() if n not in ("sft", *later)}


def waiting() -> tuple[dict[str, Any], dict[str, Any]]:
    """A run that waits for people at `pairs`."""
    later = ("reward", "dpo", "report", "release")
    run = record(pairs="waiting", base="cached", chats="cached", **dict.fromkeys(later, "skipped"))
    run["exit_code"] = 3
    run["steps"]["pairs"].update(message="38 of 200 answered", hint="http://127.0.0.1:6900/dataset/pairs")
    return run, {n: m for n, m in manifests().items() if n not in ("pairs", *later)}
