"""Several processes on one training, as torchrun starts them: gloo on CPUs, NCCL on CUDA.

Each works on its part of every batch. Losses are sums divided by counts over the whole batch, so that adding up the
gradients of all processes gives that of one process which sees all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segtween.errors import SettingError

if TYPE_CHECKING:
    import torch


def rank() -> int:
    """This process's number, 0 where there is only one."""
    return int(os.environ.get("RANK", 0))


def world() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


@dataclass(frozen=True)
class Processes:
    """This process among the others of one training."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part_of(self, numbers: range) -> range:
        """This process's part of a batch, in one piece; all have as many."""
        size = len(numbers) // self.count
        return numbers[self.rank * size : (self.rank + 1) * size]

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        self._reduce([t for t in tensors if t.is_floating_point()], divide=1)

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor of numbers by its mean over all processes; whole numbers, equal everywhere, stay."""
        self._reduce([t for t in tensors if t.is_floating_point()], divide=self.count)

    def _reduce(self, tensors: list[torch.Tensor], *, divide: int) -> None:
        if self.count == 1 or not tensors:
            return
        import torch
        from torch import distributed

        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        for tensor, values in zip(tensors, flat.div_(divide).split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(values.view_as(tensor))

    def total(self, *numbers: float, device: Any = "cpu") -> list[float]:
        """The sum of each number over all processes."""
        if self.count == 1:
            return [float(n) for n in numbers]
        import torch
        from torch import distributed

        values = torch.tensor(numbers, dtype=torch.float64, device=device)
        distributed.all_reduce(values)
        return [float(v) for v in values]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """What the first process does here, such as filling a cache, is done before the others begin."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        if self.count > 1:
            from torch import distributed

            distributed.barrier()


@contextmanager
def joined(device: torch.device, *, batch: int, parts: int = 1) -> Iterator[Processes]:
    """The group of this training's processes; SettingError if a batch cannot be shared out in `parts` to each."""
    count = world()
    if batch % (count * parts):
        raise SettingError(
            f"batch is {batch}, for {count} processes with {parts} parts each",
            expected=f"a multiple of {count * parts}",
            do="correct the recipe or the number of processes",
        )
    if count == 1:
        yield Processes()
        return
    import torch
    from torch import distributed

    own = not distributed.is_initialized()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    if own:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(rank(), count)
    finally:
        if own:
            distributed.destroy_process_group()
