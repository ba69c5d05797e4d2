"""Rows as tokens: what is learned, what is cut, what is left out and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from small_runs import assistant, chat, pair, user

from curation.conversation import Conversation, Message
from curation.models.loading import load_tokenizer
from curation.models.template import ChatTemplate
from rlhf.training.encoding import IGNORED, for_dpo, for_reward, for_sft
from rlhf.training.preflight import judge

END = "<|im_end|>"


@pytest.fixture(scope="module")
def template(micro: Path) -> ChatTemplate:
    return ChatTemplate(load_tokenizer(micro))


def written(template: ChatTemplate, text: str) -> ChatTemplate:
    """The same tokenizer with another chat template."""
    import copy

    tokenizer = copy.deepcopy(template.tokenizer)
    tokenizer.chat_template = text
    return ChatTemplate(tokenizer)


def learned(template: ChatTemplate, rows: list[Any], **how: Any) -> list[str]:
    """The text that each row teaches."""
    made = for_sft(rows, template, max_length=how.pop("max_length", None), **how)
    return [template.tokenizer.decode([t for t in labels if t != IGNORED]) for labels in made.columns["labels"]]


THREE = Conversation(
    messages=(
        Message("system", "Be kind."),
        user("Open the door?"),
        assistant("You open the door."),
        user("And the box?"),
        assistant("\n\nPlease open the box."),
    )
)


def test_only_answers_and_their_end_tokens_are_learned(template: ChatTemplate) -> None:
    assert learned(template, [THREE]) == [f"You open the door.{END}\n\nPlease open the box.{END}"]
    made = for_sft([THREE], template, max_length=None)
    assert made.columns["input_ids"][0][-1] == template.tokenizer.eos_token_id  # nothing after the end token is kept
    pieces = made.shown[0]["rendered"]
    assert [text for text, mark in pieces if mark] == [f"You open the door.{END}", f"\n\nPlease open the box.{END}"]
    assert "".join(text for text, _ in pieces) == template.text(THREE.messages).rstrip("\n")


def test_all_tokens_are_learned_when_asked_for(template: ChatTemplate) -> None:
    assert learned(template, [THREE], assistant_only_loss=False) == [template.text(THREE.messages)]


def test_marks_in_the_template_and_turns_found_by_rendering_agree(template: ChatTemplate) -> None:
    bare = re.sub(r"\{%-? ?(end)?generation ?-?%\}\n?", "", template.tokenizer.chat_template)
    assert "generation %" not in bare
    other = written(template, bare)
    assert template.marked
    assert not other.marked
    assert for_sft([THREE], other, max_length=None).columns == for_sft([THREE], template, max_length=None).columns


def test_the_masks_are_those_of_trl(template: ChatTemplate) -> None:
    """TRL's own path (`assistant_only_loss` on a template with marks) marks the same tokens."""
    out = template.tokenizer.apply_chat_template(
        [m.to_dict() for m in THREE.messages], return_dict=True, return_assistant_tokens_mask=True
    )
    labels = for_sft([THREE], template, max_length=None).columns["labels"][0]
    theirs = [i if m else IGNORED for i, m in zip(out["input_ids"], out["assistant_masks"], strict=True)]
    assert labels == theirs[: len(labels)]
    assert set(theirs[len(labels) :]) <= {IGNORED}


def test_alpaca_s_template_learns_the_answer_and_its_end(template: ChatTemplate) -> None:
    """The prompt of Stanford Alpaca is one user turn, and what follows `### Response:` is learned to its end token."""
    alpaca = written(template, (Path(__file__).parents[3] / "recipes" / "templates" / "alpaca.jinja").read_text())
    prompt = "Below is an instruction.\n\n### Instruction:\nOpen the door.\n\n### Response:\n"
    row = Conversation(messages=(user(prompt), assistant("You open the door.")))
    assert learned(alpaca, [row]) == [f"You open the door.{END}"]
    made = for_sft([row], alpaca, max_length=None)
    assert alpaca.tokenizer.decode(made.columns["input_ids"][0]) == f"{prompt}You open the door.{END}"
    assert made.counts.prompt_differs == 0


@pytest.mark.parametrize("length", range(8, 60, 3))
def test_no_end_token_is_learned_where_a_row_is_cut(template: ChatTemplate, length: int) -> None:
    """The bug of GPT4All's first training run: end tokens on rows that were cut."""
    whole = for_sft([THREE], template, max_length=None).columns["labels"][0]
    made = for_sft([THREE], template, max_length=length)
    if length >= len(whole):
        assert made.counts.truncated == 0
        return
    if not made.columns["labels"]:
        assert made.counts.dropped == {"prompt_too_long": 1}
        return
    assert made.columns["labels"][0] == whole[:length]
    assert made.counts.truncated == 1
    ends = [i for i, token in enumerate(whole) if token == template.tokenizer.eos_token_id]
    assert made.columns["labels"][0].count(template.tokenizer.eos_token_id) == sum(i < length for i in ends)


def test_rows_that_teach_nothing_are_left_out_with_a_reason(template: ChatTemplate) -> None:
    rows = [
        Conversation(messages=(user("hello"),)),
        chat(1, label=False),
        chat(2, label=True),
        Conversation(messages=(user("a"), assistant(f"b {END} c"))),
        chat(3),
    ]
    made = for_sft(rows, template, max_length=None)
    assert dict(made.counts.dropped) == {"no_assistant": 1, "labelled_bad": 1, "control_token": 1}
    assert made.counts.used == 2
    assert made.counts.rows == 5
    assert made.kept == [rows[2], rows[4]]
    assert rows[0].id in made.counts.first["no_assistant"]
    said = " ".join(judge(made.counts, template, max_length=None).warnings)
    for reason in ("no_assistant", "labelled_bad", "control_token"):
        assert reason in said


def test_an_answer_that_was_cut_off_teaches_no_end(template: ChatTemplate) -> None:
    cut = chat(1, meta={"finished": False})
    assert learned(template, [chat(1), cut])[0] == learned(template, [cut])[0] + END


def test_pairs_share_their_prompt_and_end_with_the_end_token(template: ChatTemplate) -> None:
    row = pair(1).with_(prompt=(user("a"), assistant("b"), user("c")))
    made = for_dpo([row], template, max_length=None)
    prompt, chosen, rejected = (made.columns[f"{name}_ids"][0] for name in ("prompt", "chosen", "rejected"))
    decode = template.tokenizer.decode
    assert decode(prompt) == template.text(row.prompt, ask=True)
    assert decode(chosen) == row.chosen[0].content + END
    assert decode(rejected) == row.rejected[0].content + END
    assert made.sizes == [2 * len(prompt) + len(chosen) + len(rejected)]
    assert [e["title"] for e in made.shown] == ["chosen", "rejected"]


def test_in_a_pair_only_finished_answers_end(template: ChatTemplate) -> None:
    made = for_dpo([pair(1, meta={"rejected_finished": False})], template, max_length=None)
    assert made.columns["chosen_ids"][0][-1] == template.tokenizer.eos_token_id
    assert made.columns["rejected_ids"][0][-1] != template.tokenizer.eos_token_id


def test_pairs_without_a_preference_are_left_out(template: ChatTemplate) -> None:
    same = pair(1)
    rows = [pair(0, verdict="tie"), same.with_(rejected=same.chosen), pair(2), pair(3).with_(rejected=())]
    for encode in (for_dpo, for_reward):
        counts = encode(rows, template, max_length=None).counts
        assert dict(counts.dropped) == {"tie": 1, "identical_answers": 1, "no_assistant": 1}
        assert counts.used == 1


def test_long_pairs_are_cut_for_dpo_and_left_out_for_a_reward_model(template: ChatTemplate) -> None:
    row = pair(1)
    whole = for_dpo([row], template, max_length=None)
    prompt, longest = len(whole.columns["prompt_ids"][0]), whole.lengths[0]
    cut = for_dpo([row], template, max_length=longest - 3)
    assert cut.counts.truncated == 1
    assert cut.columns["rejected_ids"][0] == whole.columns["rejected_ids"][0][:-3]
    assert cut.columns["chosen_ids"] == whole.columns["chosen_ids"]  # the shorter answer fits
    assert for_dpo([row], template, max_length=prompt).counts.dropped == {"prompt_too_long": 1}
    assert for_reward([row], template, max_length=longest - 3).counts.dropped == {"too_long": 1}
    assert for_reward([row], template, max_length=longest).counts.used == 1


def test_a_reward_model_reads_to_the_end_token_and_no_further(template: ChatTemplate) -> None:
    """Templates write a newline after the end token; a reward read there would never see an end token again."""
    assert template.text(pair(1).conversations()[0].messages).endswith(END + "\n")
    made = for_reward([pair(1), pair(2, meta={"rejected_finished": False})], template, max_length=None)
    for name in ("chosen_ids", "rejected_ids"):
        assert {ids[-1] for ids in made.columns[name]} == {template.tokenizer.eos_token_id}


def test_weights_are_counted_since_trl_has_no_place_for_them(template: ChatTemplate) -> None:
    counts = for_dpo([pair(1, weight=2.0), pair(2)], template, max_length=None).counts
    assert counts.weighted == 1
    assert "1 of 2" in " ".join(judge(counts, template, max_length=None).warnings)


# What stops a run


def errors(made: Any, template: ChatTemplate, max_length: int | None = None) -> list[tuple[str, str]]:
    return judge(made.counts, template, max_length=max_length).errors


def test_no_rows_at_all(template: ChatTemplate) -> None:
    (found,) = errors(for_sft([], template, max_length=None), template)
    assert "no rows at all" in found[0]


def test_all_rows_left_out_says_why_and_what_to_do(template: ChatTemplate) -> None:
    made = for_dpo([pair(i) for i in range(4)], template, max_length=8)
    ((what, hint),) = errors(made, template, 8)
    assert "none of the 4 rows" in what
    assert "prompt_too_long" in what
    assert f"{made.counts.longest} tokens" in what
    assert "max_length" in hint


def test_a_template_that_never_ends_an_answer(template: ChatTemplate) -> None:
    endless = written(
        template,
        "{% for m in messages %}{{ m['role'] + ': ' }}{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ m['content'] }}{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}{{ '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
    )
    ((what, hint),) = errors(for_sft([chat(1)], endless, max_length=None), endless)
    assert "would never stop" in what
    assert END in what
    assert "eos_token" in hint


FORGETFUL = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' and not loop.last %}{{ 'said: ' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Writes an earlier answer otherwise than the last one, as reasoning models' templates do."""


def test_a_mask_that_cannot_be_exact_stops_the_run(template: ChatTemplate) -> None:
    odd = written(template, FORGETFUL)
    made = for_sft([THREE, chat(1)], odd, max_length=None)
    assert made.counts.dropped == {"mask_not_exact": 1}  # one turn is fine
    ((what, hint),) = errors(made, odd)
    assert "1 of 2 rows" in what
    assert THREE.id in what
    assert "generation" in hint


def test_a_template_that_refuses_a_role_costs_that_row_alone(template: ChatTemplate) -> None:
    strict = written(
        template,
        "{% if messages and messages[0]['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
        + template.tokenizer.chat_template,
    )
    made = for_sft([THREE, chat(1)], strict, max_length=None)
    assert made.counts.dropped == {"template_refuses": 1}
    assert "no system role here" in made.counts.first["template_refuses"]
    assert not errors(made, strict)


def test_a_prompt_that_is_written_otherwise_when_it_is_asked_is_warned_of(template: ChatTemplate) -> None:
    hidden = template.tokenizer.chat_template.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n\\n")
    odd = written(template, hidden)
    made = for_sft([chat(1)], odd, max_length=None)
    assert made.counts.prompt_differs == 1
    assert "another context" in " ".join(judge(made.counts, odd, max_length=None).warnings)


def test_answers_that_the_template_leaves_empty_are_warned_of(template: ChatTemplate) -> None:
    call = Message("assistant", "", '{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"type":"function"}]}')
    row = Conversation(messages=(user("a"), call, Message("tool", "1"), assistant("b")))
    made = for_sft([row], template, max_length=None)
    assert made.counts.empty_turns == 1
    assert "tool calls" in " ".join(judge(made.counts, template, max_length=None).warnings)
