"""The outcome of an evaluation: as JSON, and as rows for a table or CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.errors import SinkError, os_errors
from segtween.metrics.bootstrap import bases
from segtween.texttable import TextTable, count
from segtween.types import Method
from segtween.validation import whole_file

HEADINGS = {
    "row": "method",
    "key_rate": "network runs per 100 frames",
    "miou": "mIoU",
    "min_miou": "last-distance mIoU",
    "worst_miou": "worst-distance mIoU",
    "gain": "gain over every frame",
    "tc": "TC",
    "vc8": "VC8",
    "vc16": "VC16",
    "flicker_at_keys": "flicker at keys",
}
"""What the columns of `Report.rows` are called for people."""


CALIBRATION = {
    "row": "method",
    "ece": "expected calibration error",
    "overconfidence": "confidence above accuracy",
    "ece_at_keys": "error at key frames",
    "ece_elsewhere": "error elsewhere",
    "reliability": "error of reliability",
}


BOUNDARY = {
    "row": "method",
    "boundary_f": "boundary F",
    "trimap_3": "mIoU within 3 pixels of an edge",
    "trimap_5": "mIoU within 5 pixels",
    "min_boundary_f": "last-distance boundary F",
    "min_trimap_3": "last distance, within 3 pixels",
    "min_trimap_5": "last distance, within 5 pixels",
}
"""Agreement along label edges (`metrics.boundary`), where it was asked for."""


VSPW = {"row": "method", "vspw_miou": "mIoU", "vspw_tc": "TC", "vspw_vc8": "VC8", "vspw_vc16": "VC16"}


@dataclass(frozen=True)
class Report:
    """The outcome, fractions in 0..1. `to_json` is the file's form; `rows` one flat record per row of the table."""

    method: Method
    dataset: str
    split: str
    protocol: str
    label_map: str
    clips: int
    frames: int
    truth: dict[str, Any] | None
    every_frame: dict[str, Any]
    every_frame_fused: dict[str, Any] | None
    results: list[dict[str, Any]]
    tc_flow: dict[str, Any]
    cuts: int
    bootstrap: dict[str, Any]
    left_out: list[str]
    tc_left_out: list[str]
    """Classes that the truth holds and that some row never gives: no row's TC counts them."""
    title: str
    """What people call the data: `datasets.Dataset.title`."""
    others: Sequence[Report] = ()
    """The same method in other modes, measured in the same pass: rows above those of this one."""

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "dataset": self.dataset,
            "split": self.split,
            "data": self.title,
            "frames": self.frames,
            "clips": self.clips,
            "protocol": self.protocol,
            "label_map": self.label_map,
            "tc_flow": self.tc_flow,
            "cuts": self.cuts,
            "bootstrap": self.bootstrap,
            "left_out": self.left_out,
            "tc_left_out": self.tc_left_out,
            "truth": self.truth,
            "every_frame": self.every_frame,
            "every_frame_fused": self.every_frame_fused,
            "results": self.results,
            **{other.method.mode_word: other.to_json() for other in self.others},
        }

    def write_csv(self, path: Path) -> None:
        """`rows` as a file, one line each, with the short keys as header. Raises SinkError."""
        named = {name: method for name, method, _ in self._results()}
        rows = [
            {**row, "method": of.name, "hash": of.hash}
            for row in self.rows()
            for of in (named.get(row["row"], self.method),)
        ]
        got = f"{path} cannot be written"
        errors = os_errors(SinkError, got, expected="a folder that can be written", do="choose one")
        with errors, whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def tables(self) -> list[TextTable | str]:
        """What to print: the figures, those of each class, and what has to be known to read them."""
        title = f"{self.title}: {scored(self.frames, self.clips, is_dense=self.protocol == 'dense')}"
        rows = [row for row in self.rows() if row["interval"] != 0]  # that row is "every frame, fused"
        figures = TextTable(title, list(HEADINGS.values()), [_cells(row) for row in rows])
        blocks = {row["row"]: block for row, block in zip(self.rows(), self._blocks(), strict=False)}
        shown = {row["row"]: blocks[row["row"]] for row in rows if row["row"] in blocks}
        classes = [
            [name, *(_percent(block["per_class"][name]) for block in shown.values())]
            for name in self.every_frame["per_class"]
        ]
        per_class = TextTable("IoU of each class", ["class", *shown], classes)
        calibration = TextTable(
            "Calibration", list(CALIBRATION.values()), [_calibrated(n, b) for n, b in shown.items()]
        )
        edges = [] if "boundary" not in self.every_frame else [_along_edges(shown)]
        published = [] if "vspw" not in self.every_frame else [self._vspw(shown)]
        return [figures, per_class, calibration, *edges, *published, "\n".join(self._remarks(shown))]

    def _vspw(self, blocks: dict[str, dict[str, Any]]) -> TextTable:
        truth = {} if self.truth is None else {"true labels": self.truth}
        rows = [
            [name, *(_percent(block["vspw"][key]) for key in VSPW if key != "row")]
            for name, block in {**blocks, **truth}.items()
        ]
        return TextTable(
            "By the arithmetic of VSPW's scripts, to compare with published figures", [*VSPW.values()], rows
        )

    def _remarks(self, blocks: dict[str, dict[str, Any]]) -> list[str]:
        methods = ", ".join(f"{of.method.name} {of.method.hash} ({of.method.mode_word})" for of in self._all_modes())
        remarks = [
            f"method {methods}; labels by {self.label_map}; all figures in percent; {self.interval_note()}",
            *(f"left out: {what}" for what in self.left_out),
        ]
        absent = self.every_frame["absent"]
        if absent:
            remarks.append(f"classes that the truth does not hold, left out of every mean: {', '.join(absent)}")
        for name, block in blocks.items():
            if block["predicted_only"]:
                pixels = ", ".join(f"{other} {n}" for other, n in block["predicted_only"].items())
                remarks.append(f"pixels predicted as one of these by {name}: {pixels}")
        return [*remarks, *self.temporal_notes()]

    def interval_note(self) -> str:
        """What the intervals of the differences are: their level, and what they are based on; or why there are none."""
        names = (row["row"] for row in self.rows())
        gains = {
            name: block.get("gain_over_every_frame")
            for name, block in zip(names, self._blocks(), strict=False)
            if block.get("interval") != 0  # that row is "every frame, fused"
        }
        return interval_note(gains, level=self.bootstrap["level"])

    def temporal_notes(self) -> list[str]:
        """What has to be known to read a temporal consistency."""
        notes = []
        if self.truth is not None and self.truth["tc"] is not None:
            notes.append(
                f"TC of the true labels, {_percent(self.truth['tc'])}, is the ceiling: a higher one is smoother than "
                "the world, which is no gain"
            )
        if self.tc_left_out:
            notes.append(
                f"TC: left out of every row's mean, since some row never gives it: {', '.join(self.tc_left_out)}"
            )
        if self.tc_flow["flow"] == "exact" and self.tc_flow["occlusion"] == "unknown":
            notes.append("TC: what was occluded is compared too, since the data do not say where that is")
        if self.cuts:
            notes.append(f"{count(self.cuts, 'scene cut')}: nothing is compared across them")
        return notes

    def _all_modes(self) -> list[Report]:
        return [*self.others, self]

    def _results(self) -> list[tuple[str, Method, dict[str, Any]]]:
        """The results of all modes, each with its row's name, which is its interval unless it has one, and its
        method."""
        named = [
            (str(result.get("row", f"interval {result['interval']}")), of.method, result)
            for of in self._all_modes()
            for result in of.results
        ]
        return [(f"{name}, {method.mode_word}", method, result) for name, method, result in named]

    def _blocks(self) -> list[dict[str, Any]]:
        fused = [] if self.every_frame_fused is None else [self.every_frame_fused]
        return [self.every_frame, *fused, *(result for _, _, result in self._results())]

    def rows(self) -> list[dict[str, Any]]:
        """Every frame, every frame fused, each interval in each mode (`interval 4, offline`), then adaptive schedules,
        of which `interval` is None; last the true labels, where every frame has some: what temporal measures say of
        them is what a method can reach.

        None elsewhere: nothing to measure, or the row itself."""
        rows = [_row("every frame", self.every_frame)]
        if self.every_frame_fused is not None:
            rows.append(_row("every frame, fused", self.every_frame_fused))
        rows += [_row(name, result) for name, _, result in self._results()]
        rows = rows if self.truth is None else [*rows, _row("true labels", self.truth)]
        if "boundary" not in self.every_frame:
            return rows
        edges = [block.get("boundary", {}) for block in (*self._blocks(), self.truth or {})]
        keys = [key for key in BOUNDARY if key != "row"]
        return [{**row, **{key: found.get(key) for key in keys}} for row, found in zip(rows, edges, strict=False)]


def scored(frames: int, clips: int, *, is_dense: bool) -> str:
    """What was scored: `101 frames in 1 clip, every frame labelled`, or `12 labelled frames in 10 clips`."""
    if is_dense:
        return f"{count(frames, 'frame')} in {count(clips, 'clip')}, every frame labelled"
    return f"{count(frames, 'labelled frame')} in {count(clips, 'clip')}"


def interval_note(
    gains: Mapping[str, Mapping[str, Any] | None],
    *,
    level: float,
    keys: Sequence[str] = ("value",),
    of: str = "paired difference",
) -> str:
    """What the intervals `of` differences, by row name (None: no difference), are based on; or why there are none.

    `keys`: of a difference, the figures whose intervals are shown: `value`, and `min_miou` for the last distance.
    """
    suffixes = {"value": "", "min_miou": ", last distance"}
    figures = {
        f"{name}{suffixes[key]}": gain if key == "value" else gain[key]
        for name, gain in gains.items()
        if gain
        for key in keys
    }
    rests = bases(figures) if figures else "no interval (nothing to compare)"
    if all(figure["kind"] is None for figure in figures.values()):
        return rests
    return f"in brackets the {100 * level:g}% interval of the {of}: {rests}"


def _row(name: str, block: dict[str, Any]) -> dict[str, Any]:
    gain = block.get("gain_over_every_frame", {})
    miou = block.get("avg_miou", block.get("miou"))
    same = ("interval", "key_rate", "mean_miou", "min_miou", "worst_miou", "worst_distance")
    return {
        "row": name,
        **{key: block.get(key) for key in same},
        "miou": miou,
        "gain": gain.get("value"),
        "gain_low": gain.get("low"),
        "gain_high": gain.get("high"),
        **{key: block.get(key) for key in ("tc", "vc8", "vc16", "flicker_at_keys")},
        "ece": block.get("calibration", {}).get("ece"),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    cells = {key: _percent(row[key]) for key in HEADINGS if key != "row"}
    if row["gain"] is not None:
        low, high = (_percent(row[key], sign="+") for key in ("gain_low", "gain_high"))
        sure = "" if row["gain_low"] is None else f" ({low} to {high})"
        cells["gain"] = f"{_percent(row['gain'], sign='+')}{sure}"
    if row["flicker_at_keys"] is not None:
        cells["flicker_at_keys"] = f"{row['flicker_at_keys']:.2f}x"
    return [row["row"], *cells.values()]


def _along_edges(blocks: dict[str, dict[str, Any]]) -> TextTable:
    keys = [key for key in BOUNDARY if key != "row"]
    rows = [[name, *(_percent(block["boundary"][key]) for key in keys)] for name, block in blocks.items()]
    return TextTable("Along label edges", [*BOUNDARY.values()], rows)


def _calibrated(name: str, block: dict[str, Any]) -> list[str]:
    found = block["calibration"]
    return [
        name,
        _percent(found["ece"]),
        _percent(found["overconfidence"], sign="+"),
        *(_percent(found[key]) for key in ("ece_at_keys", "ece_elsewhere")),
        _percent(found["reliability"]["ece"]),
    ]


def _percent(value: float | None, *, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f}"
