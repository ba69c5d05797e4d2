"""One training run in several processes, seen from inside one of them. In a run of one process nothing here does
anything.

What is learned must not depend on how many there are. So the rows of an optimizer step are cut into the same parts
whoever takes them, dealt out in turn, and every row of a step weighs the same. Where a step has too few parts for all,
as the last one of an epoch may, the others repeat a row that weighs nothing: all of them must take part whenever
gradients are added up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.operations import recursively_apply
from torch import distributed, nn
from torch.distributed.tensor import DTensor
from torch.utils.data import Sampler

from rlhf.training.order import BatchOrder

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others before it gives up."""


def join(rank: int, count: int, device: str, meeting: Path) -> None:
    """Makes this process one of several. They find each other by a file, so no port is opened for it.

    Args:
        meeting: A file that does not exist yet, the same for all of them.
    """
    backend = "gloo"
    if device == "cuda":
        torch.cuda.set_device(rank)
        backend = "cuda:nccl,cpu:gloo"
    distributed.init_process_group(backend, init_method=meeting.as_uri(), rank=rank, world_size=count, timeout=PATIENCE)


def leave() -> None:
    """Ends what `join` began."""
    distributed.destroy_process_group()


def count() -> int:
    """Processes of this run."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def first() -> bool:
    """Whether this is the one that writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def together() -> None:
    """Waits for the others."""
    if distributed.is_initialized():
        distributed.barrier()


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """The first process alone runs the block, then the others: they find what it left."""
    if not first():
        together()
    yield
    if first():
        together()


def agreed(mine: bool) -> bool:
    """What the first process thinks, for all of them."""
    if not distributed.is_initialized():
        return mine
    thought = torch.tensor([int(mine)])
    distributed.broadcast(thought, 0)
    return bool(thought.item())


def mean(values: torch.Tensor) -> torch.Tensor:
    """Of the values (N) that all processes have; each may have another number of them, one at least has some."""
    if not distributed.is_initialized():
        return values.mean()
    found = torch.stack([values.sum(), values.new_tensor(len(values))])
    distributed.all_reduce(found)
    return found[0] / found[1]


def gather(found: Any) -> Any:
    """The tensors (N, ...) of all processes, one after the other; N may differ. It stands in for accelerate's `gather`,
    which waits for ever, or ends the process, where a part of one process has fewer rows than that of another.
    """
    return recursively_apply(_gather, found)


def _gather(mine: torch.Tensor) -> torch.Tensor:
    mine = mine[None] if mine.ndim == 0 else mine
    sizes = [mine.new_zeros((), dtype=torch.long) for _ in range(count())]
    distributed.all_gather(sizes, mine.new_tensor(len(mine), dtype=torch.long))
    padded = mine.new_zeros((int(max(sizes)), *mine.shape[1:]))
    padded[: len(mine)] = mine
    all_of_them = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(all_of_them, padded)
    return torch.cat([one[: int(n)] for one, n in zip(all_of_them, sizes, strict=True)])


class Parts(Sampler[list[int]]):
    """The rows that one process takes, part after part.

    Args:
        order: Of all rows.
        size: Rows of a part.
        rank: Which process this is.
        count: Of how many. `size * count` divides the batch of an optimizer step.
    """

    def __init__(self, order: BatchOrder, size: int, rank: int, count: int) -> None:
        self.order, self.size, self.rank, self.count = order, size, rank, count

    @classmethod
    def mine(cls, order: BatchOrder, size: int) -> Parts:
        """This process's."""
        return cls(order, size, 0 if first() else distributed.get_rank(), count())

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.order.set_epoch(epoch)

    def rows(self, step: int) -> tuple[int, list[int]]:
        """(rows of an optimizer step, rows of each part of it that this process takes), counted from the first epoch.

        A part of 0 rows is one that repeats a row.
        """
        total, batch = len(self.order), self.order.batch
        begin = step % -(-total // batch) * batch
        rows = min(batch, total - begin)
        parts = [min(self.size, rows - start) for start in range(0, rows, self.size)]
        mine = parts[self.rank :: self.count]
        return rows, mine + [0] * (-(-len(parts) // self.count) - len(mine))

    def __len__(self) -> int:
        return sum(len(self.rows(step)[1]) for step in range(-(-len(self.order) // self.order.batch)))

    def __iter__(self) -> Iterator[list[int]]:
        order, batch = list(self.order), self.order.batch
        for step, start in enumerate(range(0, len(order), batch)):
            rows = order[start : start + batch]
            parts = [rows[i : i + self.size] for i in range(0, len(rows), self.size)][self.rank :: self.count]
            yield from parts
            for _ in self.rows(step)[1][len(parts) :]:
                yield rows[:1]


def gathered(model: nn.Module) -> None:
    """Gives each process whole weights again where each held a share of them (FSDP). All processes must call it."""
    for module in model.modules():
        for name, weights in list(module.named_parameters(recurse=False)):
            if isinstance(weights, DTensor):
                whole = nn.Parameter(weights.full_tensor(), requires_grad=weights.requires_grad)
                module.register_parameter(name, whole)


def without_labels(batches: Iterator[dict[str, Any]], parts: list[int], ignored: int) -> Iterator[dict[str, Any]]:
    """The batches of one optimizer step; in those that repeat a row nothing is learned where labels say what is."""
    for rows in parts:
        try:
            batch = next(batches)
        except StopIteration:
            return
        if not rows and "labels" in batch:
            batch["labels"] = torch.full_like(batch["labels"], ignored)
        yield batch
