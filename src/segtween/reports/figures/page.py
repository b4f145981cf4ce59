"""Panels in rows and columns on white paper, with headings, row names, a legend and a footer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from segtween.errors import SettingError, SinkError
from segtween.labels import LabelSet
from segtween.types import Labels, Rgb, SizeHW
from segtween.video.staging import check_folder, refuse_existing, sink_errors, written
from segtween.video.text import Entry, flow, text_width, write, write_entries

FAINT = (110, 120, 130)
LEAST_SHARE = 0.002
"""A class is in the legend if it covers this share of a picture."""


def panel_size(image_hw: SizeHW, width: int) -> SizeHW:
    """A panel of this width in the image's proportions. Raises SettingError below 80 and above 4000 pixels."""
    if not 80 <= width <= 4000:
        raise SettingError(f"panel width {width}", expected="80 to 4000 pixels", do="give width=400")
    return max(1, round(image_hw[0] * width / image_hw[1])), width


def compose(
    rows: Sequence[Sequence[Rgb]],
    *,
    headings: Sequence[str],
    row_names: Sequence[str] = (),
    legend: Sequence[Entry] = (),
    footer: str = "",
) -> Rgb:
    """Panels of one size, row by row, on a page (H, W, 3). Row names may hold line breaks."""
    height, width = rows[0][0].shape[:2]
    line = max(14, round(width / 18))  # the height of a line of text
    gap, margin = max(4, width // 60), max(8, width // 25)
    left = margin + max((text_width(part, line) for name in row_names for part in name.split("\n")), default=0)
    left += 2 * gap if row_names else 0
    page_width = left + len(headings) * (width + gap) - gap + margin
    entries = flow(legend, line, page_width - 2 * margin)
    small = max(12, round(0.75 * line))
    top = margin + round(1.4 * line)
    below = top + len(rows) * (height + gap)
    page_height = below + len(entries) * round(1.5 * line) + (round(1.8 * small) if footer else 0) + margin - gap
    page = np.full((page_height, page_width, 3), 255, np.uint8)
    for column, heading in enumerate(headings):
        x = left + column * (width + gap)
        fitting = min(line, round(line * width / max(1, text_width(heading, line))))
        write(page, heading, (x + (width - text_width(heading, fitting)) // 2, margin), fitting)
    for i, panels in enumerate(rows):
        y = top + i * (height + gap)
        if row_names:
            parts = row_names[i].split("\n")
            for k, part in enumerate(parts):
                write(
                    page,
                    part,
                    (margin, y + (height - len(parts) * round(1.3 * line)) // 2 + k * round(1.3 * line)),
                    line,
                )
        for column, panel in enumerate(panels):
            x = left + column * (width + gap)
            page[y : y + height, x : x + width] = panel
    y = below + line // 4 + len(entries) * round(1.5 * line)
    write_entries(page, entries, (margin, below + line // 4), line)
    if footer:
        fitting = min(small, round(small * (page_width - 2 * margin) / max(1, text_width(footer, small))))
        write(page, footer, (margin, y + small // 3), fitting, colour=FAINT)
    return page


def seen_classes(labels: LabelSet, maps: Iterable[Labels]) -> list[Entry]:
    """Names and colours of the classes that cover something in one of the label maps, in their own order."""
    present: set[int] = set()
    for one in maps:
        counts = np.bincount(one.ravel(), minlength=256)[: len(labels)]
        present.update(np.flatnonzero(counts >= max(1, LEAST_SHARE * one.size)).tolist())
    return [(labels.names[i], labels.colours[i]) for i in sorted(present)]


def save_png(page: Rgb, target: str | Path) -> Path:
    """Under its final name when it is whole. Raises SinkError."""
    import cv2

    path = Path(target)
    with sink_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise SinkError(f"{path} cannot be encoded", expected="a smaller picture", do="give a smaller width=")
    with written(path) as part:
        part.write_bytes(data.tobytes())
    return path


def check_picture(target: str | Path, *, overwrite: bool) -> Path:
    """The path, if a PNG may be written there: reported before anything is computed."""
    path = Path(target)
    if path.suffix.lower() != ".png":
        raise SettingError(f"picture {path}", expected="a name that ends in .png", do=f"give {path.stem}.png")
    refuse_existing(path, overwrite=overwrite)
    check_folder(path.parent)
    return path
