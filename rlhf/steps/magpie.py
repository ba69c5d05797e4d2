"""`magpie`: a chat model writes the user's turn itself, then the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from curation.artifact import Conversations, Kind
from curation.models.pointer import NamesModel, OutsideModel
from rlhf.recipe.step import Done, Room, Step
from rlhf.steps.writing import Writing, published, writer

if TYPE_CHECKING:
    from curation.synthesis.writers import Writer


class Magpie(Writing, NamesModel):
    """Chats out of nothing but a model that was tuned to chat: it plays the user, then answers (Magpie).

    The model is shown its chat template up to where a user begins to speak, and goes on. An endpoint is asked at
    `/completions`, with raw text; the template is then that of the tokenizer of `model_name_or_path`, or `pre_query`.
    What is no user's turn is kept as malformed (`cut_off`, `no_prompt`, and why a model wrote nothing). Reasons:
    `repeated_prompt`, `no_answer`, and why a model gave none (`not_taken`, `withheld`, `prompt_too_long`,
    `control_token`, `template_refuses`).
    """

    step: Literal["magpie"] = "magpie"
    num_conversations: int = Field(ge=1)
    """Chats to make. The step ends when there are so many."""
    model_name_or_path: OutsideModel | None = None
    """With an endpoint: the model that it serves, as a folder or a name on the Hub; its tokenizer alone is read."""
    model_revision: str | None = None
    """Commit, branch or tag of a model on the Hub."""
    pre_query: str | None = None
    """The text before a user's words, instead of what the template says: `"<|im_start|>user\\n"`."""
    stop: list[str] = []
    """Texts that end the user's turn, besides what the template writes after it."""
    system: str | None = None
    """A system message to begin with: what the chats should be about, or in which language. Kept in the rows."""
    greedy_answers: bool = True
    """Answers take the likeliest token each time, as in the paper. False draws them like the user's turns, for models
    that take no temperature."""
    max_draws: int | None = Field(None, ge=1)
    """User's turns after which the step gives up, and says how far it came. None: after 50 in a row of which none
    could be used."""
    license: str = ""
    """SPDX id of what is made, as far as the terms of the model that writes decide it; carried to cards."""
    max_completion_length: int = Field(1024, ge=1)
    """Tokens of a turn. A user's turn that is longer cannot be used; an answer is cut, and counts as not finished."""

    @model_validator(mode="after")
    def _template(self) -> Self:
        if self.endpoint_model is not None and not (self.pre_query or self.model_name_or_path):
            raise ValueError("an endpoint does not show its template: give `model_name_or_path`, or `pre_query`")
        if self.policy is not None and self.model_name_or_path:
            raise ValueError("`model_name_or_path` is for an endpoint; a `policy` brings its own template")
        if self.pre_query and self.model_name_or_path:
            raise ValueError("`pre_query` takes the place of the template; remove `model_name_or_path`")
        if self.pre_query and self.system:
            raise ValueError("write the system message into `pre_query`, in the model's own form, and remove `system`")
        return self

    def makes(self) -> type[Kind]:
        return Conversations

    def scores(self, steps: Mapping[str, Step]) -> set[str]:
        return set()

    def run(self, room: Room) -> Done:
        from curation.conversation import Conversation
        from curation.synthesis import magpie as loop

        with writer(self, room) as (who, connections):
            before, ends = self._around(who)
            plan = loop.Plan(
                self.num_conversations,
                before,
                (*ends, *self.stop),
                self.system,
                self.max_draws,
                self.greedy_answers,
                self.license,
            )
            run = loop.Magpie(who, plan, room.progress)
            made = run.run()
            ledger = made.ledger("magpie", who.name, run.draws)
            return published(room, made, Conversation, ledger, [who], connections)

    def _around(self, who: Writer) -> tuple[str, tuple[str, ...]]:
        """The text before a user's words, and what ends them."""
        if self.pre_query:
            return self.pre_query, ()
        from curation.models import ChatTemplate, load_tokenizer
        from curation.synthesis.writers import LocalWriter

        if isinstance(who, LocalWriter):
            template = who.loaded.template
        elif self.model_name_or_path is not None:
            template = ChatTemplate(load_tokenizer(self.model_name_or_path.local(weights=False)))
        before, end = template.before_user(self.system)
        return before, (end,)
