"""From the start of a process to its first labelled frames, on a disk whose files were read before."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from segtween.build import Processor, build_engine
from segtween.errors import SettingError
from segtween.metrics.timing import quartiles
from segtween.settings import Carry, Settings
from segtween.texttable import TextTable
from segtween.types import SizeHW, format_size

STEPS = ("python and imports", "network opened", "first frame", "second frame", "third frame")
_CHILD = "import sys; from segtween.bench.cold_start import child; child(sys.argv[1])"


@dataclass(frozen=True)
class Started:
    """What the started process opens: a model with options as `open_segmenter` takes them, and a named method."""

    model: str
    options: dict[str, Any]
    name: str
    settings: Settings
    size_hw: SizeHW
    threads: int = 0


@dataclass(frozen=True)
class StartReport:
    """Milliseconds of each step and from the process's start to the first frame's labels, quartiles over runs."""

    started: Started
    steps_ms: dict[str, dict[str, float]]
    first_labels_ms: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {"started": asdict(self.started), "steps_ms": self.steps_ms, "first_labels_ms": self.first_labels_ms}

    def table(self) -> TextTable:
        told = {**self.steps_ms, "from start to first labels": self.first_labels_ms}
        rows = [[step, f"{ms['median']:.0f}", f"{ms['q1']:.0f} to {ms['q3']:.0f}"] for step, ms in told.items()]
        what = f"{self.started.model}, method {self.started.name}, frames of {format_size(self.started.size_hw)}"
        runs = int(self.first_labels_ms["frames"])
        return TextTable(
            f"start of a process: {what}, {runs} runs after one that is not counted", ["step", "ms", "quartiles"], rows
        )


def measure_start(started: Started, *, repeats: int = 3) -> StartReport:
    """Starts that many processes, one after the other, after one that reads everything from the disk once.

    SettingError where a process fails, with its last line.
    """
    steps: dict[str, list[float]] = {step: [] for step in STEPS}
    whole: list[float] = []
    for run in range(repeats + 1):
        began = time.time()
        ended = subprocess.run(
            [sys.executable, "-c", _CHILD, json.dumps(asdict(started))], capture_output=True, text=True, check=False
        )
        if ended.returncode != 0:
            said = (ended.stderr.strip().splitlines() or ["nothing"])[-1]
            raise SettingError(
                f"a process that does not start ({said})", expected="a first frame", do="try the same without --start"
            )
        marks = [began, *json.loads(ended.stdout.splitlines()[-1])]
        if run:
            for step, before, after in zip(STEPS, marks, marks[1:], strict=False):
                steps[step].append((after - before) * 1e3)
            whole.append((marks[STEPS.index("first frame") + 1] - began) * 1e3)
    return StartReport(started, {step: quartiles(ms) for step, ms in steps.items()}, quartiles(whole))


def child(told: str) -> None:
    """What a started process does: the time of day after each of `STEPS`, as JSON on standard output."""
    given = json.loads(told)
    size_hw = tuple(given["size_hw"])
    from segtween.segmenters import open_segmenter

    marks = [time.time()]
    segmenter = open_segmenter(given["model"], threads=given["threads"], **given["options"])
    settings = Settings(**{**given["settings"], "carry": Carry(**given["settings"]["carry"])})
    engine = build_engine(segmenter, settings, backend=Processor(given["threads"]))
    frame = np.add.outer(np.arange(size_hw[0]), np.arange(size_hw[1])).astype(np.uint8)
    rgb = np.ascontiguousarray(np.repeat(frame[..., None], 3, axis=2))
    marks.append(time.time())
    for _ in range(3):
        engine.step(rgb)
        marks.append(time.time())
    sys.stdout.write(json.dumps(marks) + "\n")
