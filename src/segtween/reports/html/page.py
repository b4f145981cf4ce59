"""A page from its sections, and what sections are made of. Every text is escaped here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from segtween._version import __version__
from segtween.errors import SinkError
from segtween.texttable import TextTable
from segtween.types import Rgb
from segtween.video.staging import check_writable, refuse_existing, sink_errors

Html = str
"""Markup; whatever is in it has been escaped."""


def page(title: str, subtitle: str, sections: Iterable[Html], *, data: Any = None, script: str | None = None) -> Html:
    """The whole file. `data` is JSON that the script of the package of that name reads."""
    here = files(__package__)
    values = None if data is None else json.dumps(data, separators=(",", ":"), allow_nan=False)
    inlined = "" if values is None else values.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Template((here / "page.html").read_text(encoding="utf-8")).substitute(
        version=escape(__version__),
        title=escape(title),
        subtitle=escape(subtitle),
        style=(here / "page.css").read_text(encoding="utf-8"),
        sections="\n".join(sections),
        data="" if data is None else f'<script type="application/json" id="data">{inlined}</script>',
        script="" if script is None else f"<script>\n{(here / script).read_text(encoding='utf-8')}</script>",
    )


def check_target(target: Path, *, overwrite: bool = True) -> None:
    """SinkError where the report cannot be written there: reported before anything is measured."""
    with sink_errors(target):
        if target.is_dir() or not target.parent.is_dir():
            raise SinkError(
                f"report {target}", expected="a file in a folder that is there", do="give a name such as report.html"
            )
    refuse_existing(target, overwrite=overwrite)
    check_writable(target)


def section(title: str, *parts: Html) -> Html:
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def paragraph(text: str, *, note: bool = False) -> Html:
    return f'<p class="note">{escape(text)}</p>' if note else f"<p>{escape(text)}</p>"


def code(text: str) -> Html:
    return f"<pre><code>{escape(text)}</code></pre>"


def numbers(values: Sequence[tuple[str, str, str]]) -> Html:
    """Figures to be seen first: what each is, the figure, and a remark."""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}{f'<small>{escape(note)}</small>' if note else ''}</dd></div>"
        for name, value, note in values
    )
    return f'<dl class="numbers">{"".join(cells)}</dl>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> Html:
    """Numbers are set to the right: all columns but the first."""
    head = "".join(f'<th scope="col"{_right(i)}>{escape(heading)}</th>' for i, heading in enumerate(headings))
    body = "".join(f"<tr>{''.join(_cell(i, cell) for i, cell in enumerate(row))}</tr>\n" for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{said}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def text_table(given: TextTable) -> Html:
    return table(given.columns, given.rows, caption=given.title)


def record(values: Mapping[str, Any]) -> Html:
    """Nested plain values, one in a row, by their path."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>\n' for name, value in _flat(values)
    )
    return f'<div class="scroll"><table class="record"><tbody>\n{rows}</tbody></table></div>'


def details(summary: str, *parts: Html) -> Html:
    """What is shown when it is asked for."""
    body = "\n".join(parts)
    return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>"


def picture(rgb: Rgb, *, alt: str, quality: int = 80) -> Html:
    """(H, W, 3) as a JPEG within the page."""
    from segtween.video.jpeg import encode_jpeg

    return jpeg(encode_jpeg(rgb, quality=quality), alt=alt)


def jpeg(data: bytes, *, alt: str) -> Html:
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'


def _right(column: int) -> str:
    return ' class="number"' if column else ""


def _cell(column: int, text: str) -> Html:
    return f"<td{_right(column)}>{escape(text)}</td>" if column else f'<th scope="row">{escape(text)}</th>'


def _flat(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, value in values.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}: ")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value)
