"""Progress of a training: a line with the time left, and TensorBoard."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from torch.utils.tensorboard import SummaryWriter

LINE_EVERY_SECONDS = 30.0


class Progress:
    """A bar on a terminal, a line every half minute elsewhere; scalars and pictures in `events`."""

    def __init__(self, name: str, events: Path, *, first: int, steps: int) -> None:
        self.writer = SummaryWriter(str(events), purge_step=first)
        self.first, self.steps, self.begun, self.printed = first, steps, time.perf_counter(), 0.0
        self.console = Console(stderr=True)
        self.bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task(name, total=steps, completed=first, loss=float("nan"))

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()
        self.writer.close()

    def step(self, step: int, loss: float) -> None:
        self.bar.update(self.task, completed=step, loss=loss)
        now = time.perf_counter()
        if self.bar.disable and (now - self.printed > LINE_EVERY_SECONDS or step == self.steps):
            self.printed = now
            each = (now - self.begun) / (step - self.first)
            left = each * (self.steps - step) / 60
            line = f"step {step} of {self.steps}, loss {loss:.3f}, {each:.2f} s a step, {left:.0f} min left"
            self.console.print(line, highlight=False)

    def scalars(self, step: int, **values: float) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def picture(self, step: int, rgb: NDArray[np.uint8]) -> None:
        """(H, W, 3)."""
        self.writer.add_image("image, truth, network", rgb, step, dataformats="HWC")
