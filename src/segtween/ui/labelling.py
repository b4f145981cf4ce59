"""Labels that a person makes of some frames of a video, propagated to all of them."""

from __future__ import annotations

import csv
import math
import secrets
import shlex
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from segtween.api import Model, load
from segtween.datasets.labelled import OWN_SET
from segtween.datasets.reading import read_ids
from segtween.errors import LabelError, SinkError, SourceError
from segtween.labels import LabelSet
from segtween.run.options import Outputs
from segtween.run.propagation import Candidate, Labelled, look_next, propagate
from segtween.texttable import count
from segtween.types import IGNORE, Labels, Rgb, format_size
from segtween.ui.jobs import Job
from segtween.ui.sessions import FRAMES, Video
from segtween.ui.videos import as_argument, named, open_video
from segtween.validation import write_yaml
from segtween.video.frames_table import FRAMES_TABLE
from segtween.video.jpeg import encode_jpeg
from segtween.video.png import encode_png
from segtween.video.staging import sink_errors, written

Origin = Literal["saved", "network", "before", "after"]
"""Whose labels: those that were saved, the network's, those of the last run but one or of the last."""

MOST_PIXELS = 500_000_000
"""Of all frames together. Frames between two labelled ones are kept in memory, at about 4.5 bytes per pixel."""
FRAMES_PER_PROPOSAL, PROPOSALS = 30, 5
QUALITY = 92


class Labelling:
    """One video that is labelled: its frames, the labels that were saved, and what the last two runs made of them.

    `prepare` and `propagate` are work for the queue; `labels` and `frames` are known when `prepare` is done. Without a
    `network` labelling begins from nothing, with the classes of `labels`. All files are in `folder`.
    """

    def __init__(
        self,
        folder: Path,
        video: Video,
        *,
        labels: LabelSet | None = None,
        network: Model | None = None,
        threads: int = 0,
    ) -> None:
        self.id = secrets.token_urlsafe(9)
        self.folder, self.video, self.labels, self.network = folder, video, labels, network
        self.frames, self.runs = 0, 0
        self.notes: list[str] = []
        self.proposals: list[Candidate] = []
        self.changed: list[float] | None = None
        self.pending: set[int] = set()
        self._is_whole = True
        self._threads, self._lock = threads, threading.Lock()

    # ── Work for the queue ──

    def prepare(self, job: Job) -> None:
        """Reads the frames, has the network label them where there is one, and proposes the first frames to label."""
        job.begin("reading frames")
        self._read_frames(job)
        if self.network is None:
            self.proposals = spread(self.frames)
        else:
            job.begin("labelling by the network")
            self.proposals = self._label_by_network(self.network, job)
        assert self.labels is not None, "given, or the network's"
        with sink_errors(self.folder):
            (self.folder / "saved").mkdir()
        write_yaml(self.labels.to_json(), self.folder / "saved" / OWN_SET, error=SinkError)

    def propagate(self, job: Job) -> None:
        """Labels of every frame from those that were saved, how they differ from before, and the next proposals.

        Raises LabelError where no frame was saved. What ends it early leaves the state before it.
        """
        job.begin("propagating")
        number, given = self.runs + 1, self._snapshot(self.runs + 1)
        folder = given.parent
        try:
            how, outputs = Labelled(threads=self._threads, next_frames=PROPOSALS), Outputs(("labels",))
            with named(self.video.path, self.video.name):
                done = propagate(self._source, given, folder / "out", how=how, outputs=outputs, progress=job.progress)
            job.begin("comparing")
            changed = list(self._compare(self._run_folder(self.runs), folder / "out" / "labels", job))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._lock:
            self.runs, self.changed, self.proposals = number, changed, done.candidates
            self.pending -= {frame for frame in done.labelled.files if self._is_same(frame, given)}
            self.pending &= {*self.saved}
        shutil.rmtree(self.folder / "runs" / str(number - 2), ignore_errors=True)

    # ── What the page asks for ──

    @property
    def saved(self) -> list[int]:
        """The frames whose labels were saved, in order."""
        return sorted(int(path.stem) for path in (self.folder / "saved").glob("*.png"))

    def picture(self, frame: int) -> Path:
        return self.folder / FRAMES / f"{self._check(frame):06d}.jpg"

    def labels_of(self, frame: int, origin: str) -> Labels:
        """(H, W) train ids; LabelError where there are none of this origin."""
        if origin not in get_args(Origin):
            raise LabelError(f"labels {origin!r}", expected=f"one of {', '.join(get_args(Origin))}", do="choose one")
        path = self._folder_of(origin) / f"{self._check(frame):06d}.png"
        if not path.is_file():
            raise LabelError(f"frame {frame} has no labels here ({origin})", expected="others", do="start from nothing")
        return np.asarray(read_ids(path), np.uint8)

    def save(self, frame: int, values: bytes) -> None:
        """Labels of a frame, as many bytes as it has pixels, row by row: train ids, 255 = unknown. Written as a palette
        PNG. Raises LabelError for another number, unknown ids, and where no pixel has a class; SinkError."""
        self._check(frame)
        size_hw = self.video.size_hw
        if len(values) != math.prod(size_hw):
            raise LabelError(
                f"labels of frame {frame} are {len(values)} bytes",
                expected=f"{math.prod(size_hw)}, one for each pixel of {format_size(size_hw)} (width x height)",
                do="label the frame at its own size",
            )
        self.write(frame, np.frombuffer(values, np.uint8).reshape(size_hw))

    def write(self, frame: int, labels: Labels) -> None:
        """As `save`, of (H, W) train ids at the frame's own size."""
        assert self.labels is not None, "prepared"
        by_train_id = replace(self.labels, ids=tuple(range(len(self.labels))), ignore_id=IGNORE)
        by_train_id.decode(labels, name=f"the label image of frame {frame}", strict=True)
        if (labels == IGNORE).all():
            raise LabelError(
                f"no pixel of frame {frame} has a class", expected="one at least", do="paint something, then save"
            )
        with self._lock, written(self.folder / "saved" / f"{frame:06d}.png") as part:
            part.write_bytes(encode_png(labels, palette=self.labels.palette))
        self.pending.add(frame)

    def remove(self, frame: int) -> None:
        """The saved labels of a frame; nothing where there are none."""
        with self._lock, sink_errors(self.folder / "saved"):
            (self.folder / "saved" / f"{self._check(frame):06d}.png").unlink(missing_ok=True)
        self.pending.discard(frame)

    def check_saved(self) -> None:
        """LabelError where no frame has saved labels."""
        if not self.saved:
            raise LabelError("no frame is labelled", expected="saved labels of one frame at least", do="label a frame")

    def archive(self) -> bytes:
        """A zip file of the saved label images and their label set, which `segtween propagate --labels` takes once it
        is unpacked. LabelError where nothing was saved."""
        self.check_saved()
        packed = BytesIO()
        with self._lock, ZipFile(packed, "w", ZIP_STORED) as file:
            for path in sorted((self.folder / "saved").iterdir()):
                if not path.name.startswith("."):
                    file.write(path, f"labels/{path.name}")
        return packed.getvalue()

    def to_json(self) -> dict[str, Any]:
        """What the page shows."""
        labels, (height, width) = self.labels, self.video.size_hw
        classes = [] if labels is None else zip(labels.names, labels.colours, strict=True)
        return {
            "id": self.id, "video": self.video.to_json(), "width": width, "height": height, "frames": self.frames,
            "classes": [{"name": name, "colour": list(colour)} for name, colour in classes],
            "label_set": None if labels is None else labels.name, "by_network": self.network is not None,
            "saved": self.saved, "pending": sorted(self.pending), "runs": self.runs, "notes": self.notes,
            "proposals": [vars(one) for one in self.proposals], "changed": self.changed,
            "command": f"segtween propagate {shlex.quote(as_argument(self.video.name))} --labels labels/ -o out/",
        }  # fmt: skip

    # ── Inside ──

    def _check(self, frame: int) -> int:
        if not 0 <= frame < self.frames:
            raise LabelError(f"frame {frame}", expected=f"0 to {self.frames - 1}", do="choose one of the video")
        return frame

    @property
    def _source(self) -> Path:
        """The video itself; its pictures where only a part of it is used, where it holds another number of frames than
        it says, or where it has been removed."""
        is_complete = self._is_whole and self.video.frames in (None, self.frames)
        return self.video.path if is_complete and self.video.path.exists() else self.folder / FRAMES

    def _folder_of(self, origin: str) -> Path:
        if origin in ("saved", "network"):
            return self.folder / "saved" if origin == "saved" else self._run_folder(0)
        return self._run_folder(self.runs - (origin == "before"))

    def _run_folder(self, number: int) -> Path:
        """The label images of a run; of run 0, which comes before the first, those of the network."""
        return (
            self.folder / "network" / "labels" if number <= 0 else self.folder / "runs" / str(number) / "out" / "labels"
        )

    def _read_frames(self, job: Job) -> None:
        """As many as there may be, and, of a damaged video, those before the damage."""
        most = max(1, MOST_PIXELS // math.prod(self.video.size_hw))
        with sink_errors(self.folder):
            (self.folder / FRAMES).mkdir(parents=True)
        source = open_video(self.video)
        try:
            with named(self.video.path, self.video.name):
                for frame in source:
                    if self.frames == most:
                        self._use_part("more do not fit into memory")
                        break
                    self._write_picture(frame.rgb)
                    job.progress(self.frames, self.video.frames and min(self.video.frames, most))
        except SourceError as error:
            if self.frames == 0:
                raise
            self._use_part(error.got)
        finally:
            source.close()

    def _use_part(self, why: str) -> None:
        self._is_whole = False
        self.notes.append(f"only the first {count(self.frames, 'frame')} can be used: {why}")

    def _write_picture(self, rgb: Rgb) -> None:
        path = self.folder / FRAMES / f"{self.frames:06d}.jpg"
        with sink_errors(path):
            path.write_bytes(encode_jpeg(rgb, quality=QUALITY))
        self.frames += 1

    def _label_by_network(self, network: Model, job: Job) -> list[Candidate]:
        method = load(network, threads=self._threads)
        self.labels = method.labels
        method.run(self._source, self.folder / "network", save=["labels"], progress=job.progress)
        with (self.folder / "network" / FRAMES_TABLE).open(newline="") as table:
            errors = [1 - float(row["confidence"]) for row in csv.DictReader(table)]
        return look_next(errors, (), count=PROPOSALS)

    def _snapshot(self, number: int) -> Path:
        """The saved labels as they are now, in a folder of the run's own: they may be saved again meanwhile."""
        given = self.folder / "runs" / str(number) / "given"
        with self._lock, sink_errors(given):
            self.check_saved()
            shutil.rmtree(given.parent, ignore_errors=True)
            shutil.copytree(self.folder / "saved", given, ignore=shutil.ignore_patterns(".*"))
        return given

    def _is_same(self, frame: int, given: Path) -> bool:
        now = self.folder / "saved" / f"{frame:06d}.png"
        return now.is_file() and now.read_bytes() == (given / now.name).read_bytes()

    def _compare(self, before: Path, after: Path, job: Job) -> Iterator[float]:
        """Of each frame the share of pixels whose label differs, 0..1; where there was none before, of those that have
        a class now."""
        for index in range(self.frames):
            old, new = before / f"{index:06d}.png", read_ids(after / f"{index:06d}.png")
            was = read_ids(old) if old.is_file() else np.uint8(IGNORE)
            yield round(float(np.mean(new != was)), 5)
            job.progress(index + 1, self.frames)


def spread(frames: int) -> list[Candidate]:
    """The first frames to label of a video without any labels: evenly spread, one in 30, 5 at most."""
    count = max(1, min(PROPOSALS, math.ceil(frames / FRAMES_PER_PROPOSAL)))
    return [Candidate((2 * i + 1) * frames // (2 * count), None, 1.0, frames) for i in range(min(count, frames))]
