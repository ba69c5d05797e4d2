"""In which order rows are trained on: a function of (seed, epoch) alone, so that a resumed run meets the same batches.

Random order pads 1.4 to 1.5 times more than batches of equal lengths. So each batch holds rows of about the same
length, and the order of the batches is random: rows are shuffled, sorted by length within stretches of many batches,
cut into batches, and the batches are shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

STRETCH = 50
"""Batches that are sorted by length together: more pad less, fewer mix better."""
JITTER = 0.1
"""Lengths are taken this inexactly, so that each epoch fills its batches anew."""


class BatchOrder(Sampler[int]):
    """Indices of rows, batch after batch.

    Args:
        lengths: Tokens of each row.
        batch: Rows of one optimizer step.
        seed: Of the order.
        by_length: False gives a plain random order.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, *, by_length: bool = True) -> None:
        self.lengths, self.batch, self.seed, self.by_length = lengths, batch, seed, by_length
        self.epoch = 0
        self._before: tuple[int, dict[int, int]] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(self.epoch))

    def order(self, epoch: int) -> list[int]:
        """The indices of one epoch. The batch that is not full comes last."""
        rng = random.Random(f"{self.seed} {epoch}")
        indices = list(range(len(self.lengths)))
        rng.shuffle(indices)
        if not self.by_length:
            return indices
        whole = len(indices) // self.batch * self.batch
        indices, rest = indices[:whole], indices[whole:]
        size = STRETCH * self.batch
        batches: list[list[int]] = []
        for start in range(0, whole, size):
            near = {i: self.lengths[i] * rng.uniform(1 - JITTER, 1 + JITTER) for i in indices[start : start + size]}
            stretch = sorted(near, key=near.__getitem__, reverse=True)
            batches += [stretch[i : i + self.batch] for i in range(0, len(stretch), self.batch)]
        rng.shuffle(batches)
        return [i for batch in [*batches, rest] for i in batch]

    def before(self, epoch: int) -> dict[int, int]:
        """For each row the one before it in its optimizer step; the first has the last one before it."""
        if self._before is None or self._before[0] != epoch:
            order = self.order(epoch)
            found = {}
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                found.update(zip(rows, [rows[-1], *rows[:-1]], strict=True))
            if len(order) > 1 and len(order) % self.batch == 1:
                found[order[-1]] = order[-2]  # a step of one row has nobody else in it
            self._before = (epoch, found)
        return self._before[1]

    def seen(self, steps: int, sizes: Sequence[int]) -> int:
        """The sum of `sizes` over all rows of the first `steps` optimizer steps."""
        per_epoch = -(-len(self.lengths) // self.batch)
        epochs, rest = divmod(steps, per_epoch)
        return epochs * sum(sizes) + sum(sizes[i] for i in self.order(epochs)[: rest * self.batch])


class PromptOrder(Sampler[int]):
    """Indices of prompts for methods that answer them while they train, as TRL's online trainers ask for them.

    TRL draws all prompts of a generation anew for each part of an optimizer step, and looks at the first draw only. The
    order is a function of (seed, epoch); prompts that do not fill the last generation are joined by the epoch's first.

    Args:
        prompts: How many there are.
        at_once: Prompts that are answered at once.
        answers: To each prompt.
        repeats: Draws of the same prompts.
        seed: Of the order.
    """

    def __init__(self, prompts: int, at_once: int, answers: int, repeats: int, seed: int) -> None:
        self.prompts, self.at_once, self.answers, self.repeats, self.seed = prompts, at_once, answers, repeats, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.order(0)) * self.answers * self.repeats

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = self.order(self.epoch)
        for start in range(0, len(order), self.at_once):
            for _ in range(self.repeats):
                for prompt in order[start : start + self.at_once]:
                    yield from [prompt] * self.answers

    def order(self, epoch: int) -> list[int]:
        """The prompts of one epoch, a multiple of `at_once`."""
        order = list(range(self.prompts))
        random.Random(f"{self.seed} {epoch}").shuffle(order)
        missing = -len(order) % self.at_once
        return order + [order[i % len(order)] for i in range(missing)]

    def seen(self, generations: int, sizes: Sequence[int]) -> int:
        """The sum of `sizes` over the prompts of the first `generations`, once for each answer."""
        per_epoch = len(self.order(0)) // self.at_once
        epochs, rest = divmod(generations, per_epoch)
        whole = [i for epoch in range(epochs) for i in self.order(epoch)]
        return self.answers * sum(sizes[i] for i in whole + self.order(epochs)[: rest * self.at_once])
