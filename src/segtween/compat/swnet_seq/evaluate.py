"""`--evaluate 1` and `--inference 1`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from segtween.compat.swnet_seq import weights
from segtween.compat.swnet_seq.clips import LAYOUTS, labelled_clips, unlabelled_clips
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.outputs import Predictions
from segtween.compat.swnet_seq.passes import Moment, Passes, Window, read_ahead, windows_of
from segtween.compat.swnet_seq.places import Places, RunLog
from segtween.datasets import ClipFrame, Dataset
from segtween.datasets.reading import read_rgb
from segtween.labels import LabelSet
from segtween.metrics.segmentation import Counts, confusion, fraction, miou, overlap, per_class, reference_scores
from segtween.settings import Settings
from segtween.types import Labels, Method, Progress, Rgb, size_of
from segtween.types import steps as counted


@dataclass
class Scores:
    """Confusion counts by distance; 0 is the network itself on the measured frames."""

    labels: LabelSet
    counts: dict[int, Counts]

    def add(self, moment: Moment) -> None:
        for answer in moment.measured:
            if moment.truth is not None:
                found = confusion(answer.labels, moment.truth, classes=len(self.labels))
                self.counts[answer.distance] = self.counts.get(answer.distance, np.zeros_like(found)) + found

    def miou(self, distance: int) -> float | None:
        return fraction(miou(overlap(self.counts[distance])))

    def pooled(self, distances: Sequence[int]) -> float | None:
        """mIoU of all these distances' frames together: our average."""
        return fraction(miou(overlap(np.sum([self.counts[k] for k in distances], axis=0))))

    def mean(self, distances: Sequence[int], *, absent_as_zero: bool = False) -> float | None:
        """Mean of the distances' mIoU; with `absent_as_zero` each counted as the reference does."""
        if absent_as_zero:
            return float(np.mean([reference_scores(self.counts[k])["miou_absent_as_zero"] for k in distances]))
        known = [self.miou(k) for k in distances]
        return None if None in known else float(np.mean([v for v in known if v is not None]))

    def to_json(self) -> dict[str, Any]:
        steps = sorted(self.counts)
        return {
            "distances": {
                str(k): {
                    "miou": self.miou(k),
                    **reference_scores(self.counts[k]),
                    **per_class(overlap(self.counts[k]), self.labels),
                }
                for k in steps
            },
            "avg_miou": self.pooled(steps),
            "mean_miou": self.mean(steps),
            "mean_miou_absent_as_zero": self.mean(steps, absent_as_zero=True),
            "min_miou": self.miou(steps[-1]),
        }

    def lines(self) -> list[str]:
        """What to print: each distance, then all up to each."""
        steps = sorted(self.counts)
        lines = ["frames since key   mIoU   pixel accuracy   mIoU, absent classes as 0"]
        for k in steps:
            found = reference_scores(self.counts[k])
            named = f"{k} (network itself)" if k == 0 else str(k)
            figures = (self.miou(k), found["pixel_accuracy"], found["miou_absent_as_zero"])
            lines.append(f"{named:<18} {figures[0] or 0:6.2%} {figures[1]:>14.2%} {figures[2]:>24.2%}")
        if len(steps) > 1:
            lines.append("up to k   avg mIoU   mean over k   min mIoU (at that k)   mean, absent classes as 0")
        for i in range(1, len(steps)):
            to = steps[: i + 1]
            shown = (self.pooled(to) or 0, self.mean(to) or 0, self.miou(to[-1]) or 0)
            lines.append(
                f"{to[-1]:<7} {shown[0]:>10.2%} {shown[1]:>13.2%} {shown[2]:>22.2%} "
                f"{self.mean(to, absent_as_zero=True) or 0:>27.2%}"
            )
        absent = per_class(overlap(np.sum(list(self.counts.values()), axis=0)), self.labels)["absent"]
        return [
            *lines,
            *([f"not in the truth, left out of mIoU: {', '.join(absent)}"] if absent else []),
        ]


def evaluate(options: Options, places: Places, log: RunLog, progress: Progress) -> dict[str, Any]:
    """Measure, print, write what --save-res and --save-seq-res ask for; returns what `results.json` holds."""
    # Alone, the network needs no frames before the labelled one, but for a strip.
    steps = () if options.eval_single and not options.save_seq_res else options.eval_multi_step
    files, settings = _method(options, places)
    data = labelled_clips(options, split=options.split or "val", listing=options.val_list, before=max(steps, default=0))
    passes = _passes(options, files, settings, log, steps=steps)
    method = passes.method(weights.PRESET)
    predictions = Predictions(places.predictions, data.labels, single=options.eval_single)
    windows = [window for clip in data.clips for window in windows_of(clip, steps)]

    def write(moment: Moment) -> None:
        if options.save_res:
            for answer in moment.measured:
                predictions.image(moment.frame.name, answer.distance, answer.labels)
        predictions.show(moment)

    scores = measure(passes, data, windows, options, progress, write)
    log.say(f"{data.name} {data.split}: {len(data.clips)} clips, method {method.name} {method.hash}")
    for line in scores.lines():
        log.say(line)
    for k in sorted(scores.counts):
        log.scalar("eval/mIoU by frames since key", scores.miou(k) or 0.0, k)
    found = {
        **_made_with(options, method, files),
        "data": {"dataset": data.name, "split": data.split, "clips": len(data.clips)},
        **scores.to_json(),
    }
    if predictions.images or predictions.strips:
        found["predictions"] = {"images": predictions.images, "strips": predictions.strips}
        log.say(f"{predictions.images} label images, {predictions.strips} strips: {places.predictions}")
    return found


def measure(
    passes: Passes,
    data: Dataset,
    windows: Sequence[Window],
    options: Options,
    progress: Progress | None = None,
    seen: Callable[[Moment], None] | None = None,
) -> Scores:
    """Confusion counts of all windows; `seen` is shown every frame."""
    scores = Scores(data.labels, {})

    def read(item: tuple[ClipFrame, bool]) -> tuple[Rgb, Labels | None]:
        frame, counts = item
        rgb = data.read_rgb(frame)
        return rgb, data.read_labels(frame, size_hw=size_of(rgb)) if counts else None

    wanted = [(f, w.is_dense or i == len(w.frames) - 1) for w in windows for i, f in enumerate(w.frames)]
    ahead = options.batch_size * (passes.longest + 1)
    frames = read_ahead(wanted, read, workers=options.num_worker, ahead=ahead)
    step = counted(progress, len(wanted))
    for window in windows:
        for moment in passes.through(window, islice(frames, len(window.frames))):
            scores.add(moment)
            if seen is not None:
                seen(moment)
            step()
    return scores


def infer(options: Options, places: Places, log: RunLog, progress: Progress) -> dict[str, Any]:
    """Write the labels of every frame of every clip: a key frame, `longest` frames after it, the next key frame."""
    files, settings = _method(options, places)
    clips = unlabelled_clips(options)
    passes = _passes(options, files, settings, log, steps=(options.longest,))
    method = passes.method(weights.PRESET)
    predictions = Predictions(places.predictions, LAYOUTS[options.dataset].labels, single=options.eval_single)
    every = [frame for clip in clips for frame in clip.frames]

    def read(frame: ClipFrame) -> tuple[Rgb, None]:
        return read_rgb(frame.image_path), None

    frames = read_ahead(every, read, workers=options.num_worker, ahead=options.batch_size * (passes.longest + 1))
    step = counted(progress, len(every))
    for clip in clips:
        for moment in passes.along(clip, islice(frames, len(clip))):
            answer = moment.measured[0]
            predictions.image(moment.frame.name, answer.distance, answer.labels)
            predictions.show(moment)
            step()
    log.say(f"{len(every)} frames of {len(clips)} clips, method {method.name} {method.hash}")
    log.say(f"{predictions.images} label images, {predictions.strips} strips: {places.predictions}")
    return {
        **_made_with(options, method, files),
        "data": {"clips": len(clips), "frames": len(every)},
        "predictions": {"images": predictions.images, "strips": predictions.strips},
    }


def _made_with(options: Options, method: Method, files: dict[str, Path]) -> dict[str, Any]:
    weights = {name: str(path) for name, path in files.items()}
    return {"method": method.to_json(), "options": options.to_json(), "weights": weights}


def _method(options: Options, places: Places) -> tuple[dict[str, Path], Settings | None]:
    """The weight files that are used, by what they are for, and the settings of the preset; None: the network alone.
    ModelError for a weight file that is missing, before anything is computed."""
    files = {"segmentation": weights.key_network_file(options, places)}
    if options.eval_single:
        return files, None
    files["propagation"] = weights.propagation_file(options, places)
    settings = weights.method_settings(options, files["propagation"])
    if Path(settings.flow.name).is_file():
        files["flow"] = Path(settings.flow.name)
    return files, settings


def _passes(
    options: Options, files: dict[str, Path], settings: Settings | None, log: RunLog, *, steps: Sequence[int]
) -> Passes:
    for name, path in files.items():
        log.say(f"weights of {name}: {path}")
    segmenter, notes = weights.open_key_network(options, files["segmentation"])
    for line in notes:
        log.say(f"note: {line}")
    return Passes(segmenter, settings, steps=steps, threads=options.threads, strips=options.save_seq_res)
