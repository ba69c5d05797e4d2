"""Settings of a step that mixes in questions whose answer is known, and how they come to be among the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from curation.artifact import InputFile
from curation.settings import UNLESS_DEFAULT, Settings

if TYPE_CHECKING:
    from curation.labeling.gold import Gold, Known
    from curation.labeling.goldfile import Asks
    from curation.labeling.question import Question
    from curation.labeling.tasks import Asked

FOR_GOLD = frozenset({"gold", "gold_file", "gold_items"})


class MixesGold(Settings):
    """Gold from a file, and how much of it."""

    gold_file: Annotated[InputFile | None, UNLESS_DEFAULT] = None
    """A file of questions whose answer is known, instead of `gold`: JSON lines in the words of the question. `compare`:
    `prompt`, `chosen` and `rejected`, or `prompt`, `answers` and `ranks` where people rank (answers that share a rank
    may come in any order). `rate`: `messages` and `points` by aspect. `review`: `messages` and `verdict`."""
    gold_items: Annotated[float, UNLESS_DEFAULT] = Field(0.1, gt=0)
    """How many gold questions: a share of the questions that are asked, where it is less than 1, else their number."""

    def check_gold(self, gold: Any, suggestions: Any) -> None:
        """What does not belong together.

        Raises:
            ValueError: there is such a thing.
        """
        if gold is not None and self.gold_file is not None:
            raise ValueError("`gold` and `gold_file` both say which questions are known: leave one of them out")
        mixed = gold is not None or self.gold_file is not None
        if "gold_items" in self.model_fields_set and not mixed:
            raise ValueError("`gold_items` says how many, and `gold` or `gold_file` is missing: which")
        if suggestions and mixed:
            raise ValueError("`gold` has no suggestions, so with `suggestions` people could tell which it is")

    def mixed_in(
        self, asked: Asked, found: Sequence[Gold] | None, asks: Asks, question: Question | None = None
    ) -> Mapping[str, Known]:
        """Adds the gold questions to what is asked; item -> what is known of it.

        Args:
            found: Those of the step that `gold` names; None where it names none.
            question: As in `goldfile.read`.

        Raises:
            UserError: a line of the file is wrong, or none can be used.
        """
        from curation.labeling import goldfile
        from curation.labeling.gold import mix_in

        if self.gold_file is not None:
            found = goldfile.read(self.gold_file.text(), str(self.gold_file), asks, question)
        return mix_in(asked, found, self.gold_items) if found is not None else {}
