"""The outcome of an evaluation: as JSON, and as rows for a table or CSV."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.errors import SinkError
from segtween.texttable import TextTable, count
from segtween.types import Method

HEADINGS = {
    "row": "method",
    "key_rate": "network runs per 100 frames",
    "miou": "mIoU",
    "min_miou": "mIoU just before next key",
    "worst_miou": "lowest mIoU",
    "gain": "gain over every frame",
    "tc": "steadiness TC",
    "vc8": "VC8",
    "vc16": "VC16",
    "flicker_at_keys": "flicker at keys",
}
"""What the columns of `Report.rows` are called for people."""


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
    every_frame: dict[str, Any]
    every_frame_fused: dict[str, Any] | None
    results: list[dict[str, Any]]
    tc_flow: dict[str, Any]
    bootstrap: dict[str, Any]
    left_out: list[str]
    title: str
    """What people call the data: `datasets.Dataset.title`."""

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
            "bootstrap": self.bootstrap,
            "left_out": self.left_out,
            "every_frame": self.every_frame,
            "every_frame_fused": self.every_frame_fused,
            "results": self.results,
        }

    def write_csv(self, path: Path) -> None:
        """`rows` as a file, one line each, with the short keys as header. Raises SinkError."""
        rows = [{**row, "method": self.method.name, "hash": self.method.hash} for row in self.rows()]
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise SinkError(
                f"{path} cannot be written ({error.strerror})", expected="a folder that can be written", do="choose one"
            ) from None

    def tables(self) -> list[TextTable | str]:
        """What to print: the figures, those of each class, and what has to be known to read them."""
        labels = "every frame labelled" if self.protocol == "dense" else "one labelled frame per clip"
        frames, clips = count(self.frames, "frame"), count(self.clips, "clip")
        title = f"{self.title}: {frames} in {clips}, {labels}"
        rows = [row for row in self.rows() if row["interval"] != 0]  # that row is "every frame, fused"
        figures = TextTable(title, list(HEADINGS.values()), [_cells(row) for row in rows])
        fused = [] if self.every_frame_fused is None else [self.every_frame_fused]
        blocks = [self.every_frame, *fused, *(result for result in self.results if result["interval"] != 0)]
        classes = [
            [name, *(_percent(block["per_class"][name]) for block in blocks)] for name in self.every_frame["per_class"]
        ]
        per_class = TextTable("IoU of each class", ["class", *(row["row"] for row in rows)], classes)
        level, drawn = f"{100 * self.bootstrap['level']:g}%", count(self.bootstrap["blocks"], "block")
        remarks = [
            f"method {self.method.name} {self.method.hash}; labels by {self.label_map}; all figures in percent; "
            f"in brackets the {level} interval of the difference (block bootstrap, {drawn})",
            *(f"left out: {what}" for what in self.left_out),
        ]
        absent = sorted({name for block in blocks for name in block["absent"]})
        if absent:
            remarks.append(f"classes in neither truth nor prediction, left out of the mean: {', '.join(absent)}")
        return [figures, per_class, "\n".join(remarks)]

    def rows(self) -> list[dict[str, Any]]:
        """Every frame, every frame fused, each interval, then adaptive schedules, of which `interval` is None.

        None elsewhere: nothing to measure, or the row itself."""
        rows = [_row("every frame", self.every_frame)]
        if self.every_frame_fused is not None:
            rows.append(_row("every frame, fused", self.every_frame_fused))
        return rows + [_row(result.get("row", f"interval {result['interval']}"), result) for result in self.results]


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


def _percent(value: float | None, *, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f}"
