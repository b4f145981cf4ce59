"""What propagation loses against the network on every frame, and where: a budget of lost pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.datasets import Dataset, open_dataset
from segtween.errors import SettingError
from segtween.evaluation import Losses, evaluate_losses
from segtween.evaluation.losses import knows_hidden
from segtween.evaluation.report import interval_note, scored
from segtween.interfaces import Segmenter
from segtween.metrics.bootstrap import Bootstrap
from segtween.metrics.losses import KINDS, NEAR, WIDEST, LossCounts
from segtween.metrics.segmentation import fraction
from segtween.reports.tables.compare import signed
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.methods import fitting, with_offline
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Settings
from segtween.street import Drives
from segtween.texttable import count
from segtween.types import Progress

MOST_NAMED = 3
ALL = "mean"

COLUMNS = (
    Column("row", "method"),
    Column("mode", "mode"),
    Column("interval", "interval"),
    Column("distance", "frames since key"),
    Column("class", "class"),
    Column("thin", "thin", percent),
    Column("hidden", "hidden at the key frame", percent),
    Column("edge", "at an edge", percent),
    Column("elsewhere", "elsewhere", percent),
    Column("lost", "lost", percent),
    Column("won", "won back", percent),
    Column("net", "lost less won back", signed, along=("net_low", "net_high")),
    Column("most", "classes that lose most"),
    Column("hash", "method hash"),
)


@contextmanager
def rendered(drives: Drives, progress: Progress | None = None) -> Iterator[Dataset]:
    """Drives through the synthetic street as a data set, for as long as it is used. Raises what `write_camvid`
    raises."""
    from segtween.street import write_camvid

    with tempfile.TemporaryDirectory(prefix="segtween-") as folder:
        write_camvid(Path(folder) / "street", drives, progress=progress)
        opened = open_dataset("camvid", Path(folder) / "street", split=drives.split)
        heavy = ", heavy traffic" if drives.traffic == "heavy" else ""
        yield replace(opened, folder=f"street, drives {drives.seed} to {drives.seed + drives.clips - 1}{heavy}")


def losses_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    presets: Mapping[str, Settings],
    default: str,
    intervals: Sequence[int] = (4,),
    distance: int | None = None,
    offline: bool = True,
    per_class: bool = False,
) -> Study:
    """Points of recall that the network on every frame has and propagation has not, mean over classes, by kind of place
    (`metrics.losses`), `distance` frames after the key frame (None: just before the next one): each preset at each
    interval, and one offline, as in `methods_table`. `per_class` shows a row for each class, too; the record has them
    in any case, and the figures of each clip.

    Raises SettingError for an unknown `default` and where no method is left, and what `evaluation.evaluate_losses`
    raises.
    """
    if default not in presets:
        raise SettingError(f"preset {default!r}", expected="one of those compared", do="name one")
    methods, notes = fitting(segmenter, presets, {})
    if offline:
        methods, refused = with_offline(methods, default)
        notes += refused
    found = evaluate_losses(
        conditions.dataset,
        segmenter=segmenter,
        methods=methods,
        intervals=intervals,
        distance=distance,
        options=conditions.of_evaluation(),
    )
    hidden = knows_hidden(conditions.dataset)
    labels = conditions.dataset.labels.names
    rows = [_row(losses, labels, hidden=hidden) for losses in found]
    classes = [row for losses in found for row in _class_rows(losses, labels, hidden=hidden)]
    return Study(
        "losses",
        f"What propagation loses: {conditions.dataset.title}",
        [c for c in COLUMNS if (c.key != "class" or per_class) and (c.key != "hidden" or hidden)],
        _woven(rows, classes) if per_class else rows,
        [*_notes(conditions, segmenter, found, rows, hidden=hidden), *notes],
        {"classes": classes, "clips": [row for losses in found for row in _clip_rows(losses, conditions.dataset)]},
        conditions.command,
    )


def _row(losses: Losses, labels: Sequence[str], *, hidden: bool) -> dict[str, Any]:
    counts = losses.counts
    net = counts.net(Bootstrap())
    by_class = counts.per_class(counts.lost.sum(axis=1))
    worst = [i for i in np.argsort(np.nan_to_num(-by_class), kind="stable")[:MOST_NAMED] if by_class[i] > 0]
    return {
        **_place(losses, ALL),
        **_budget(counts.mean(counts.lost), hidden=hidden),
        "won": fraction(counts.mean(counts.won.sum(axis=1))),
        "net": net.value,
        "net_low": net.low,
        "net_high": net.high,
        "most": ", ".join(f"{labels[i]} {percent(by_class[i])}" for i in worst) or None,
        "hash": losses.method.hash,
    }


def _class_rows(losses: Losses, labels: Sequence[str], *, hidden: bool) -> Iterator[dict[str, Any]]:
    """One for each class that the truth holds."""
    counts = losses.counts
    lost, won = counts.per_class(counts.lost), counts.per_class(counts.won.sum(axis=1))
    plain, own = (counts.per_class(right[:, 0]) for right in (counts.plain, counts.own))
    for i in np.flatnonzero(counts.plain[:, 1].sum(axis=0)).tolist():
        yield {
            **_place(losses, labels[i]),
            **_budget(lost[:, i], hidden=hidden),
            "won": float(won[i]),
            "net": float(plain[i] - own[i]),
            "net_low": None,
            "net_high": None,
            "most": None,
            "hash": losses.method.hash,
            "recall_every_frame": float(plain[i]),
            "recall": float(own[i]),
            "pixels": int(counts.plain[:, 1, i].sum()),
        }


def _place(losses: Losses, of: str) -> dict[str, Any]:
    mode = losses.method.mode_word
    return {"row": losses.name, "mode": mode, "interval": losses.interval, "distance": losses.distance, "class": of}


def _budget(lost: NDArray[np.float64], *, hidden: bool) -> dict[str, float | None]:
    """(kinds,) by name, and their sum."""
    by_kind = {kind: fraction(value) for kind, value in zip(KINDS, lost, strict=True)}
    return {**by_kind, **({} if hidden else {"hidden": None}), "lost": fraction(lost.sum())}


def _clip_rows(losses: Losses, dataset: Dataset) -> Iterator[dict[str, Any]]:
    """What each clip loses, wins back, and the difference."""
    counts = losses.counts
    for clip in np.unique(counts.clips):
        blocks = counts.clips == clip
        part = LossCounts(counts.clips[blocks], classes=counts.classes)
        part.lost, part.won, part.plain = counts.lost[blocks], counts.won[blocks], counts.plain[blocks]
        lost, won = (fraction(part.mean(pixels.sum(axis=1))) for pixels in (part.lost, part.won))
        net = None if lost is None or won is None else lost - won
        name = dataset.clips[int(clip)].name
        yield {"row": losses.name, "interval": losses.interval, "clip": name, "lost": lost, "won": won, "net": net}


def _woven(rows: Sequence[dict[str, Any]], classes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of classes after those of the same method and interval."""
    keys = ("row", "interval")
    further = dict.fromkeys(("recall_every_frame", "recall", "pixels"))
    return [
        one
        for row in rows
        for one in ({**row, **further}, *(c for c in classes if all(c[key] == row[key] for key in keys)))
    ]


def _notes(
    conditions: Conditions,
    segmenter: Segmenter,
    found: Sequence[Losses],
    rows: Sequence[dict[str, Any]],
    *,
    hidden: bool,
) -> list[str]:
    data = conditions.dataset.limited(conditions.max_frames)
    frames = max((losses.counts.frames for losses in found), default=0)
    nets = {f"{row['row']} at {row['interval']}": losses.counts.net(Bootstrap()).to_json()
            for row, losses in zip(rows, found, strict=True)}  # fmt: skip
    known = (
        "hidden: hidden or outside the image in the key frame or on the way there, by exact flow and occlusion"
        if hidden
        else "left out: what was hidden at the key frame, since the data have no exact flow and occlusion"
    )
    return [
        f"data: {data.title}, {scored(frames, len(data.clips), is_dense=data.is_dense)}; "
        f"scores: {segmenter.describe().get('name', 'a function')}",
        "points of recall, mean over the classes that the truth holds: what the network on every frame has right and "
        "the method has not, and the other way round; each lost pixel counts in the first column that applies",
        f"thin: up to {WIDEST} pixels; at an edge: within {NEAR} pixels of another class; {known}",
        interval_note(nets, level=Bootstrap().level),
        *(
            f"{losses.name} at {losses.interval}: no frame is {count(losses.distance, 'frame')} after its key frame"
            for losses in found
            if not losses.counts.frames
        ),
    ]
