"""Cold start: from the start of a process to its first labelled frames, with files in the disk cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from segtween.bench.report import Report
from segtween.build import Processor, build_engine
from segtween.errors import SettingError
from segtween.metrics.timing import quartiles
from segtween.settings import Settings, change, single_values
from segtween.texttable import TextTable, count
from segtween.types import SizeHW, format_size

STEPS = ("python and imports", "network opened", "first frame", "second frame", "third frame")
_CHILD = "import sys; from segtween.bench.cold_start import child; child(sys.argv[1])"


@dataclass(frozen=True)
class Process:
    """What a started process opens: a model with options as `open_segmenter` takes them, and a named method."""

    model: str
    options: dict[str, Any]
    name: str
    settings: Settings
    size_hw: SizeHW
    threads: int = 0

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "settings": single_values(self.settings)}


@dataclass(frozen=True)
class ColdStartReport(Report):
    """Milliseconds of each step and from the process's start to the first frame's labels, quartiles over runs."""

    process: Process
    steps_ms: dict[str, dict[str, float]]
    first_labels_ms: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {"process": self.process.to_json(), "steps_ms": self.steps_ms, "first_labels_ms": self.first_labels_ms}

    def tables(self) -> list[TextTable | str]:
        times = {**self.steps_ms, "from start to first labels": self.first_labels_ms}
        rows = [[step, f"{ms['median']:.0f}", f"{ms['q1']:.0f} to {ms['q3']:.0f}"] for step, ms in times.items()]
        mode = "offline" if self.process.settings.is_bidirectional else "online"
        method, size = f"method {self.process.name}, {mode}", format_size(self.process.size_hw)
        what = f"{self.process.model}, {method}, frames of {size}"
        runs = count(int(self.first_labels_ms["frames"]), "run")
        title = f"cold start of a process: {what}, {runs} after one that is not counted"
        return [TextTable(title, ["step", "ms", "quartiles"], rows)]


def measure_cold_start(process: Process, *, repeats: int = 3) -> ColdStartReport:
    """Starts that many processes, one after the other, after one that reads everything from the disk once.

    SettingError where a process fails, with its last line.
    """
    if repeats < 1:
        raise SettingError(f"{repeats} repeats", expected="1 or more", do="give a larger number")
    steps: dict[str, list[float]] = {step: [] for step in STEPS}
    whole: list[float] = []
    for run in range(repeats + 1):
        marks = _start(process)
        if run:
            for step, before, after in zip(STEPS, marks, marks[1:], strict=False):
                steps[step].append((after - before) * 1e3)
            whole.append((marks[STEPS.index("first frame") + 1] - marks[0]) * 1e3)
    return ColdStartReport(process, {step: quartiles(ms) for step, ms in steps.items()}, quartiles(whole))


def _start(process: Process) -> list[float]:
    """The time of day when a process is started and after each of its steps."""
    command = [sys.executable, "-c", _CHILD, json.dumps(process.to_json())]
    # Bytecode is on disk after the run that is not counted, as it is where packages were installed with it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.time()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        reason = (ended.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SettingError(
            f"a process that does not start ({reason})",
            expected="a first frame",
            do="try the same with segtween bench speed",
        )
    return [began, *json.loads(ended.stdout.splitlines()[-1])]


def child(process_json: str) -> None:
    """What a started process does: the time of day after each of `STEPS`, as JSON on standard output."""
    given = json.loads(process_json)
    size_hw = tuple(given["size_hw"])
    from segtween.segmenters import open_segmenter

    marks = [time.time()]
    segmenter = open_segmenter(given["model"], threads=given["threads"], **given["options"])
    settings = change(Settings(), **given["settings"])
    engine = build_engine(segmenter, settings, backend=Processor(given["threads"]))
    frame = np.add.outer(np.arange(size_hw[0]), np.arange(size_hw[1])).astype(np.uint8)
    rgb = np.ascontiguousarray(np.repeat(frame[..., None], 3, axis=2))
    marks.append(time.time())
    for _ in range(3):
        engine.step(rgb)
        marks.append(time.time())
    sys.stdout.write(json.dumps(marks) + "\n")
