"""Charts as inline SVG. Each has a title and a description in words; bars stand in tables beside their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.labels import Colour
from segtween.reports.html.page import Html
from segtween.reports.tables.plot import COLOURS

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 14, 48
OF_EVERY_FRAME = "var(--faint)"
"""The CSS colour of the network on every frame, what others are compared with."""
SHIFT = 6
"""From the whiskers of one line to those of the next."""
_numbers = count(1)


class Series(NamedTuple):
    """A line: its name, its points (x, y), and the bounds of each, where there are some. `colour` is a CSS colour."""

    name: str
    points: Sequence[tuple[float, float]]
    bounds: Sequence[tuple[float, float] | None] = ()
    colour: str = ""
    is_line: bool = True


class Bar(NamedTuple):
    """A bar of several parts (value, CSS colour), and the text that says its numbers."""

    name: str
    parts: Sequence[tuple[float, str]]
    text: str


def colour_of(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def key_lines(lines: Iterable[tuple[str, str]]) -> Html:
    """What tells the lines of a chart apart: the name and the CSS colour of each."""
    return " ".join(
        f'<span><span class="keyline" style="border-color:{colour}"></span>{escape(name)}</span>'
        for name, colour in lines
    )


def line_chart(title: str, series: Sequence[Series], *, x: str, y: str, whole_x: bool = False) -> Html:
    """Lines, with whiskers where they have bounds. `x` and `y` say what the axes are; values of y are percent or what
    `y` says."""
    drawn = [one._replace(colour=one.colour or colour_of(row)) for row, one in enumerate(series) if one.points]
    if not drawn:
        return ""
    xs = _span([p[0] for one in drawn for p in one.points], whole=whole_x)
    ys = _span([v for one in drawn for p, b in _bounded(one) for v in (p[1], *(b or ()))], margin=0.06)
    marks = "".join(_grid(xs, ys, x, y, whole=whole_x)) + "".join(
        _drawn(one, xs, ys, shift=SHIFT * (row - (len(drawn) - 1) / 2)) for row, one in enumerate(drawn)
    )
    keys = key_lines((one.name, one.colour) for one in drawn)
    words = "; ".join(f"{one.name}: {', '.join(f'{_n(b)} at {_n(a)}' for a, b in one.points)}" for one in drawn)
    svg = _svg(f"0 0 {WIDTH} {HEIGHT}", marks, title=title, words=f"{y} over {x}. {words}.")
    return f'<figure><figcaption>{escape(title)}: {keys}</figcaption><div class="chart scroll">{svg}</div></figure>'


def bars(rows: Sequence[Bar], *, caption: str, most: float | None = None) -> Html:
    """A table of bars beside their names and numbers; a bar of `most`, else the longest, is as wide as its column."""
    whole = most or max((sum(value for value, _ in row.parts) for row in rows), default=0) or 1.0
    lines = []
    for row in rows:
        begin, pieces = 0.0, []
        for value, colour in row.parts:
            wide = 100 * value / whole
            pieces.append(f'<rect x="{begin:.2f}" y="1" width="{max(0, wide):.2f}" height="8" fill="{colour}"/>')
            begin += wide
        drawn = f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{"".join(pieces)}</svg>'
        lines.append(
            f'<tr><th scope="row">{escape(row.name)}</th><td class="bar">{drawn}</td>'
            f'<td class="number">{escape(row.text)}</td></tr>'
        )
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table class="bars"><caption>{escape(caption)}</caption>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def strip(
    title: str, curves: Sequence[tuple[str, NDArray[np.float64], str]], *, span: tuple[float, float], words: str
) -> Html:
    """A row of a timeline: curves (name, values (bins,), CSS colour) within `span`; NaN leaves a gap."""
    lines = "".join(
        f'<polyline points="{part}" fill="none" stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"/>'
        for _, values, colour in curves
        for part in _runs(values, span)
    )
    names = key_lines((name, colour) for name, _, colour in curves if name)
    return _row(title, names, lines, words, "")


def marks(title: str, frames: Sequence[int], total: int, *, words: str) -> Html:
    """A row of a timeline with a mark at each of these frames, as far as they can be told apart."""
    places = sorted({round(1000 * (frame + 0.5) / total, 1) for frame in frames})
    path = "".join(f"M{x:g} 0V100" for x in places)
    line = f'<path d="{path}" stroke="currentColor" stroke-width="1" vector-effect="non-scaling-stroke" fill="none"/>'
    return _row(title, "", line, words, "keys")


def areas(title: str, shares: NDArray[np.float64], colours: Sequence[Colour], *, words: str) -> Html:
    """A row of a timeline: shares (classes, bins), 0..1, stacked in the classes' colours."""
    shares = np.repeat(shares, 2, axis=1) if shares.shape[1] == 1 else shares  # as wide as the row
    tops, bins = np.cumsum(shares, axis=0), shares.shape[1]
    xs = [1000 * i / (bins - 1) for i in range(bins)]
    pieces = []
    for row, colour in enumerate(colours):
        if not shares[row].any():
            continue
        upper, lower = tops[row], tops[row] - shares[row]
        there = " ".join(f"{x:.1f},{100 - 100 * v:.1f}" for x, v in zip(xs, upper, strict=True))
        back = " ".join(f"{x:.1f},{100 - 100 * v:.1f}" for x, v in zip(reversed(xs), lower[::-1], strict=True))
        pieces.append(f'<polygon points="{there} {back}" fill="{css(colour)}"/>')
    return _row(title, "", "".join(pieces), words, "shares")


def _row(title: str, names: Html, drawn: Html, words: str, kind: str) -> Html:
    svg = _svg("0 0 1000 100", drawn, title=title, words=words, more=f'preserveAspectRatio="none" class="{kind}"')
    return f"<figure><figcaption>{escape(title)} {names}</figcaption>{svg}</figure>"


def _svg(box: str, drawn: Html, *, title: str, words: str, more: str = "") -> Html:
    number = next(_numbers)
    return (
        f'<svg viewBox="{box}" role="img" aria-labelledby="t{number} d{number}" {more}>'
        f'<title id="t{number}">{escape(title)}</title><desc id="d{number}">{escape(words)}</desc>{drawn}</svg>'
    )


def _runs(values: NDArray[np.float64], span: tuple[float, float]) -> list[str]:
    """The points of each run of known values."""
    runs: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if np.isnan(value):
            runs.append([])
        else:
            share = _place(min(value, span[1]), span, (97, 3))
            runs[-1].append(f"{1000 * (i + 0.5) / len(values):.1f},{share:.1f}")
    return [" ".join(run if len(run) > 1 else run * 2) for run in runs if run]


def _bounded(one: Series) -> list[tuple[tuple[float, float], tuple[float, float] | None]]:
    bounds = one.bounds or [None] * len(one.points)
    return list(zip(one.points, bounds, strict=True))


def _span(values: Sequence[float], *, whole: bool = False, margin: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin or (0.5 if low == high else 0.0)
    return (low - 0.15, high + 0.15) if whole else (low - room, high + room)


def _place(value: float, span: tuple[float, float], ends: tuple[float, float]) -> float:
    return ends[0] + (value - span[0]) / (span[1] - span[0]) * (ends[1] - ends[0])


def _at(point: tuple[float, float], xs: tuple[float, float], ys: tuple[float, float]) -> tuple[float, float]:
    return _place(point[0], xs, (LEFT, WIDTH - RIGHT)), _place(point[1], ys, (HEIGHT - BOTTOM, TOP))


def _grid(xs: tuple[float, float], ys: tuple[float, float], x: str, y: str, *, whole: bool) -> list[Html]:
    out = []
    for value in _ticks(ys):
        at = _at((xs[0], value), xs, ys)[1]
        out.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="var(--rule)"/>')
        out.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_n(value)}</text>')
    for value in [v for v in _ticks(xs) if not whole or v == round(v)]:
        at = _at((value, ys[0]), xs, ys)[0]
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_n(value)}</text>')
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    out.append(f'<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">{escape(y)}</text>')
    return out


def _ticks(span: tuple[float, float]) -> list[float]:
    """About five round values within the span."""
    rough = (span[1] - span[0]) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(s * power for s in (1, 2, 5, 10) if s * power >= rough))
    first = int(np.ceil(span[0] / step))
    return [round(i * step, 10) for i in range(first, int(np.floor(span[1] / step)) + 1)]


def _drawn(one: Series, xs: tuple[float, float], ys: tuple[float, float], *, shift: float) -> Html:
    """A line; its whiskers, which would hide those of others, `shift` to the right."""
    out = []
    for point, bound in _bounded(one):
        x, y = _at(point, xs, ys)
        if bound is not None:
            low, high = (_at((point[0], v), xs, ys)[1] for v in bound)
            at = x + shift
            out.append(f'<path d="M{at:.1f} {low:.1f}V{high:.1f}M{at - 4:.1f} {low:.1f}h8M{at - 4:.1f} {high:.1f}h8" '
                       f'stroke="{one.colour}" fill="none" opacity=".6"/>')  # fmt: skip
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{one.colour}"/>')
    if one.is_line:
        places = " ".join("{:.1f},{:.1f}".format(*_at(point, xs, ys)) for point in one.points)
        out.append(f'<polyline points="{places}" fill="none" stroke="{one.colour}" stroke-width="2"/>')
    return "".join(out)


def _n(value: float) -> str:
    return f"{value:.4g}"
