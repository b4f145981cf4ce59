"""A table with its conditions and notes, and its forms: screen, Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from segtween.run.ending import write_json
from segtween.texttable import TextTable
from segtween.video.staging import check_folder, refuse_existing, sink_errors, write_text

FORMS = (".md", ".csv", ".json")


class Column(NamedTuple):
    """A figure of a row: its short key, what people call it, and how it is written (None never reaches `show`).

    `show` is also handed the row's values of the keys in `along`, None or not.
    """

    key: str
    heading: str
    show: Callable[..., str] = str
    along: tuple[str, ...] = ()

    def cell(self, row: dict[str, Any]) -> str:
        value = row[self.key]
        return "-" if value is None else self.show(value, *(row[key] for key in self.along))


@dataclass(frozen=True)
class Study:
    """`rows` hold plain values by short key (None: nothing to measure), of which `columns` are shown to people.

    `record` goes into the JSON besides; `notes` stand below the table. `command` is what printed it.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str]
    record: dict[str, Any] = field(default_factory=dict)
    command: str | None = None

    def headings(self) -> list[str]:
        return [column.heading for column in self.columns]

    def cells(self) -> list[list[str]]:
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    def screen(self) -> TextTable:
        return TextTable(self.title, self.headings(), self.cells())

    def remarks(self) -> list[str]:
        return [*self.notes, *([] if self.command is None else [f"command: `{self.command}`"])]

    def to_markdown(self) -> str:
        rule = ["---", *("---:" for _ in self.columns[1:])]
        lines = [" | ".join(part) for part in (self.headings(), rule, *self.cells())]
        body = "\n".join(f"| {line} |" for line in lines)
        return f"**{self.title}**\n\n{body}\n\n" + "\n".join(f"- {remark}" for remark in self.remarks()) + "\n"

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.name,
            "title": self.title,
            "command": self.command,
            "notes": list(self.notes),
            **self.record,
            "rows": list(self.rows),
        }

    def save(self, folder: str | Path) -> list[Path]:
        """`<name>.md`, `.csv` and `.json` in the folder, each when it is whole. Raises SinkError."""
        place = Path(folder)
        with sink_errors(place):
            place.mkdir(parents=True, exist_ok=True)
        write_text(self.to_markdown(), place / f"{self.name}.md")
        write_text(self.to_csv(), place / f"{self.name}.csv")
        write_json(self.to_json(), place / f"{self.name}.json")
        return [place / f"{self.name}{form}" for form in FORMS]


def check_targets(folder: str | Path, names: Sequence[str], *, overwrite: bool) -> None:
    """SinkError where the files cannot be written, or one exists already: reported before anything is measured."""
    check_folder(Path(folder))
    for name in names:
        refuse_existing(Path(folder) / name, overwrite=overwrite)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
