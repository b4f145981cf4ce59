"""A run of the page: what may be chosen, the work itself, and what its result shows."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from segtween.api import EVERY_FRAME, load
from segtween.errors import ModelError, SettingError, unknown
from segtween.models.finding import find_record
from segtween.reports.html.page import numbers
from segtween.reports.html.recording import Recorders, RunRecorder
from segtween.reports.html.run_page import Asked, figures, player, player_data, timeline, write_run_report
from segtween.run.modes import ModeName
from segtween.run.options import Outputs
from segtween.run.summary import Summary
from segtween.types import is_whole
from segtween.ui.jobs import Job
from segtween.ui.sessions import RUNS, Options, Session, Video
from segtween.ui.videos import as_argument, compiled, named, open_video
from segtween.video import NamedSource

MODES: dict[str, ModeName] = {"offline": "bidirectional", "online": "causal"}
SAVED = ("overlay", "labels", "coco")
MOST_EVERY = 60
WIDEST = 1280
"""Films of the result are at most so wide, so that enlarging shows pixels of the video."""
RESULTS = "results"
"""Where a session keeps the results of its runs."""


def networks(options: Options) -> list[dict[str, Any]]:
    """The networks that are offered, with their classes; without classes where only opening them would tell."""
    return [{"name": name, "classes": _classes(name)} for name in options.networks]


def _classes(name: str) -> list[dict[str, Any]]:
    try:
        labels = find_record(name).labels
    except ModelError:
        return []
    pairs = zip(labels.names, labels.colours, strict=True)
    return [{"name": one, "colour": "#{:02x}{:02x}{:02x}".format(*colour)} for one, colour in pairs]


@dataclass(frozen=True)
class Choices:
    """How a video is run: `every` frames the network runs, `classes` are tinted (None: all), `compare` runs the network
    on every frame besides."""

    video: Video
    network: str
    every: int = 5
    mode: str = "offline"
    classes: tuple[str, ...] | None = None
    compare: bool = True
    threads: int = 0

    @classmethod
    def of(cls, values: dict[str, Any], session: Session, options: Options) -> Choices:
        """From what the page sends. SettingError, or a Refusal where there is no such video."""
        network, mode = network_of(values, options), values.get("mode", "offline")
        if not isinstance(mode, str) or mode not in MODES:
            raise unknown(f"mode {mode!r}", str(mode), MODES)
        return cls(
            session.video(values.get("video")), network, every_of(values), mode, classes_of(values),
            values.get("compare") is not False, options.threads,
        )  # fmt: skip

    @property
    def load(self) -> dict[str, Any]:
        """The arguments of `segtween.load`."""
        return {"model": self.network, "every": self.every, "mode": MODES[self.mode], "threads": self.threads}

    @property
    def run(self) -> dict[str, Any]:
        """Those of `Segtween.run` that have plain values."""
        chosen = {} if self.classes is None else {"classes": list(self.classes)}
        return {"save": list(SAVED), "report": True, **chosen}

    def asked(self, folder: str) -> Asked:
        """The command line and the lines of Python that do the same."""
        words = ["segtween", "run", as_argument(self.video.name), "-o", folder, "--model", self.network]
        words += ["--every", str(self.every), f"--{self.mode}", "--save", ",".join(SAVED), "--report"]
        words += [] if self.classes is None else ["--classes", ",".join(self.classes)]
        words += ["--compare", EVERY_FRAME] if self.compare else []
        words += ["--threads", str(self.threads)] if self.threads else []
        return Asked(shlex.join(words), self.load, self.run, EVERY_FRAME if self.compare else None)


def network_of(values: dict[str, Any], options: Options) -> str:
    """SettingError for a network that is not offered."""
    network = values.get("network", options.networks[0])
    if network not in options.networks:
        raise unknown(f"network {network!r}", str(network), options.networks)
    return cast("str", network)


def every_of(values: dict[str, Any]) -> int:
    """The network runs on one frame in so many. SettingError."""
    every = values.get("every", 5)
    if not is_whole(every, least=1, most=MOST_EVERY):
        raise SettingError(
            f"the network on every {every!r}th frame", expected=f"a whole number, 1 to {MOST_EVERY}", do="correct it"
        )
    return every


def classes_of(values: dict[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes that are tinted, None for all. SettingError."""
    classes = values.get("classes")
    if classes is None:
        return None
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise SettingError("no class is chosen", expected="one class or more", do="tick those to be tinted")
    return tuple(classes)


@dataclass(frozen=True)
class RunResult:
    """A run that came to its end, for the page."""

    folder: Path
    choices: Choices
    summary: Summary
    recorder: RunRecorder

    def to_json(self, films: str) -> dict[str, Any]:
        """Markup of the parts, what the player reads, and how to do the same; `films` goes before the films' names."""
        asked = self.choices.asked("out")
        return {
            "title": self.choices.video.name,
            "figures": numbers(figures(self.summary)),
            "player": player(self.summary, self.recorder, films=films, classes=self.choices.classes),
            "timeline": timeline(self.recorder),
            "data": player_data(self.recorder),
            "command": asked.command,
            "python": asked.python(self.choices.video.name, "out"),
            "notes": list(self.summary.outputs.notes),
            "folder": str(self.folder),
        }


def run(session: Session, choices: Choices, job: Job) -> dict[str, Any]:
    """The work of a job: labels a video, and keeps its result for the page."""
    folder = session.new_folder(RUNS)
    job.result = {"folder": str(folder)}
    with compiled(job, "loading the network"):
        seg = load(**choices.load)
        other = load(**{**choices.load, "mode": None, "preset": EVERY_FRAME}) if choices.compare else None
    recorders, video = Recorders(widest=WIDEST), choices.video
    outputs = Outputs(SAVED, classes=choices.classes, report=True, compare=other, recorder=recorders)
    source = NamedSource(Path(video.name).stem, video.name, partial(open_video, video))
    job.begin("labelling by both methods" if choices.compare else "labelling")
    with named(video.path, video.name):
        summary = seg.run(source, folder, outputs=outputs, progress=job.progress)
    job.begin("writing the report")
    recorder = recorders.of(summary.input)
    write_run_report(summary, recorder, choices.asked(str(folder)))
    session.extra.setdefault(RESULTS, {})[job.id] = RunResult(folder, choices, summary, recorder)
    return {"folder": str(folder)}
