"""`report.html` of a run: player, timeline, least certain frames, method, how to repeat it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.api import load
from segtween.reports.html import charts
from segtween.reports.html.page import Html, code, details, jpeg, numbers, page, paragraph, record, section
from segtween.reports.html.recording import LABELS_FILM, MOST_TIMES, PICTURE_FILM, ROWS, WIDEST, RunRecorder, fitted
from segtween.run.summary import Summary
from segtween.texttable import count
from segtween.types import format_size
from segtween.video.flicker_chart import round_up
from segtween.video.staging import write_text

REPORT = "report.html"
BEFORE, AFTER, ACCENT = "var(--before)", "var(--after)", "var(--accent)"


@dataclass(frozen=True)
class Asked:
    """How a run was asked for: what was typed, and the arguments of `load` and of `run` that do the same; the preset
    of the method that it is compared with."""

    command: str
    load: Mapping[str, Any]
    run: Mapping[str, Any]
    compared: str | None = None

    def python(self, source: str, folder: str) -> str:
        """Lines that do the same."""
        usual = {name: parameter.default for name, parameter in inspect.signature(load).parameters.items()}
        model = self.load.get("model", usual.get("model"))
        others = {k: v for k, v in self.load.items() if k != "model" and v is not None and v != usual.get(k)}
        given = _arguments(others)
        how = _arguments(self.run)
        lines = ["import segtween", "", f"seg = segtween.load({model!r}{given})"]
        if self.compared is not None:
            lines.append(f"other = segtween.load({model!r}{_arguments({**others, 'preset': self.compared})})")
            how += ", compare=other"
        return "\n".join([*lines, f"seg.run({source!r}, {folder!r}{how})"])


def _arguments(values: Mapping[str, Any]) -> str:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    return "".join(f", {name}={value!r}" for name, value in plain.items())


def write_run_report(summary: Summary, recorder: RunRecorder, asked: Asked) -> Path:
    """`report.html` in the run's folder, beside its films. Raises SinkError."""
    return write_text(run_page(summary, recorder, asked), summary.folder / REPORT)


def run_page(summary: Summary, recorder: RunRecorder, asked: Asked) -> Html:
    """The page, for a run of one frame or more."""
    info, method = summary.input, summary.method
    subtitle = (
        f"{method.name} {method.hash}, {method.mode_word}; network on {summary.network_runs} of "
        f"{count(summary.frames, 'frame')}, {format_size(info.size_hw)} (width x height)"
    )
    python = asked.python(info.path, str(summary.folder))
    sections = [
        section("Figures", numbers(figures(summary)), *(paragraph(note, note=True) for note in summary.outputs.notes)),
        section("Player", player(summary, recorder, classes=asked.run.get("classes"))),
        section("Timeline", timeline(recorder)),
        section("Least certain frames", _uncertain(recorder)),
        section("Where the time goes", _stages(summary)),
        section("How to repeat it", code(asked.command), code(python)),
        section(
            "Method",
            paragraph(f"{method.name}, hash {method.hash}: everything that changes the numbers."),
            details("Method record", record(method.to_json())),
            details("Input and outputs", record(_input(summary))),
        ),
    ]
    return page(info.name, subtitle, sections, data=player_data(recorder), script="player.js")


def figures(summary: Summary) -> list[tuple[str, str, str]]:
    """What `page.numbers` takes: what each is, the figure, and a remark."""
    compared = summary.comparison
    own = summary.consistency if compared is None else compared["own_consistency"]
    other = None if compared is None else compared["consistency"]
    runs = 100 * summary.network_runs / max(1, summary.frames)
    found = [
        *_speeds(summary),
        ("Network runs per 100 frames", f"{runs:.1f}", f"{summary.network_runs} of {count(summary.frames, 'frame')}"),
    ]
    for name, key, digits in (("Temporal consistency", "tc", 1), ("Flicker", "flicker", 2)):
        if own is not None and own[key] is not None:
            note = "" if other is None or other[key] is None else f"every frame: {100 * other[key]:.{digits}f}%"
            found.append((name, f"{100 * own[key]:.{digits}f}%", note))
    if summary.latency_ms:
        live = summary.live()
        found.append(("Latency", f"{live['latency_ms']['p50']:.0f} ms", f"median; {live['dropped_frames']} dropped"))
    return found


def _speeds(summary: Summary) -> list[tuple[str, str, str]]:
    """Frames per second; beside another method those of both by the time of their stages."""
    compared = summary.comparison or {}
    own, other = compared.get("own_frames_per_second"), compared.get("frames_per_second")
    if own is None or other is None:
        return [("Frames per second", f"{summary.fps:.1f}", "with reading, writing and this report")]
    times = f"{own / other:.1f}x" if own >= other else f"{own / other:.1g}x"
    return [
        ("Frames per second", f"{own:.1f}", f"labelling alone; every frame: {other:.1f}"),
        ("Times faster", times, "here, than this network on every frame"),
    ]


def player(summary: Summary, recorder: RunRecorder, *, films: str = "", classes: Sequence[str] | None = None) -> Html:
    """The player with its legend; `films` goes before the names of its films. All but `classes` are switched off at
    first; None: none of them."""
    height, width = fitted(summary.input.size_hw, WIDEST)
    before = "picture" if summary.comparison is None else summary.comparison["method"]["name"]
    before = "network on every frame" if before == "every-frame" else before
    note = (
        "" if recorder.has_before else " Run with --compare every-frame to have the network on every frame on the left."
    )
    canvas = '<canvas class="labels" id="before" aria-hidden="true"></canvas>' if recorder.has_before else ""
    template = Template((files(__package__) / "player.html").read_text(encoding="utf-8"))
    return template.substitute(
        width=width, height=height, picture=films + PICTURE_FILM, labels=films + LABELS_FILM,
        last=max(0, summary.frames - 1),
        before=escape(before), after=escape(f"segtween ({summary.method.name})"), before_canvas=canvas,
        described=escape(f"{summary.input.name}: {before} on the left, segtween on the right of the divider"),
        legend=_legend(recorder, classes), note=escape(note),
    )  # fmt: skip


def _legend(recorder: RunRecorder, classes: Sequence[str] | None) -> Html:
    frames = max(1, recorder.bins.frames)
    state = "" if recorder.has_levels else " disabled"
    chosen = range(len(recorder.labels)) if classes is None else recorder.labels.choose(classes)[0]
    return "\n".join(
        f'<li><button type="button" aria-pressed="{str(i in chosen).lower()}" data-id="{i}"{state} '
        f'title="{100 * share / frames:.2f}% of the clip">'
        f'<span class="swatch" style="background:{charts.css(recorder.labels.colours[i])}"></span>'
        f'{escape(recorder.labels.names[i])}<span class="share"></span></button></li>'
        for i, share in enumerate(recorder.shares)
        if share > 0
    )


def timeline(recorder: RunRecorder) -> Html:
    """Key frames, flicker, confidence and class shares over time, for the player to follow."""
    means = _means(recorder)
    confidence, flicker, before = means[: len(ROWS)]
    curves = [("network on every frame", before, BEFORE)] if recorder.has_before else []
    curves.append(("segtween", flicker, AFTER))
    top = round_up(100 * float(np.nan_to_num([values for _, values, _ in curves]).max())) / 100
    low = max(0.0, np.floor(10 * float(np.nanmin(confidence))) / 10 - 0.1)
    shares, names = np.nan_to_num(means[len(ROWS) :]), recorder.labels.names
    largest = np.argsort(-shares.mean(axis=1))[:3]
    rows = [
        charts.marks("Key frames", recorder.keys, recorder.bins.frames, words=_spacing(recorder.keys)),
        charts.strip(f"Flicker, 0 to {100 * top:g}% of the pixels:", curves, span=(0.0, top),
                     words="; ".join(f"{name}: {_range(values, 2)}" for name, values, _ in curves)),
        charts.strip(f"Confidence, {100 * low:.0f} to 100%", [("", confidence, ACCENT)], span=(low, 1.0),
                     words=f"mean confidence of a frame: {_range(confidence, 1)}"),
        charts.areas("Share of each class", shares, recorder.labels.colours,
                     words="largest: " + ", ".join(f"{names[i]} {100 * shares[i].mean():.0f}%" for i in largest)),
    ]  # fmt: skip
    seconds = (recorder.last_ms - (recorder.times_ms or [0])[0]) / 1000
    ends = f'<div class="ends"><span>0 s</span><span>{seconds:.1f} s</span></div>'
    told = paragraph("Click to jump to a frame.", note=True)
    return f'{told}<div class="timeline" id="timeline">{"".join(rows)}<div class="cursor"></div></div>{ends}'


def _means(recorder: RunRecorder) -> NDArray[np.float64]:
    """(rows, bins) of the bins that hold frames."""
    return recorder.bins.means[:, : max(1, recorder.bins.filled)]


def _spacing(keys: Sequence[int]) -> str:
    apart = np.diff(keys)
    if not len(apart):
        return count(len(keys), "key frame")
    return f"{count(len(keys), 'key frame')}, {apart.min()} to {apart.max()} frames apart"


def _range(values: NDArray[np.float64], digits: int) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "nothing to compare"
    low, middle, high = (f"{100 * value:.{digits}f}" for value in (known.min(), known.mean(), known.max()))
    return f"{low} to {high}%, mean {middle}%"


def _uncertain(recorder: RunRecorder) -> Html:
    items = "\n".join(
        f'<li><button type="button" data-frame="{one.frame}">'
        f"{jpeg(one.jpeg, alt=f'frame {one.frame + 1} with its labels')}"
        f"frame {one.frame + 1}, confidence {100 * one.confidence:.1f}%</button></li>"
        for one in recorder.uncertain
    )
    return f'<ul class="frames">\n{items}\n</ul>' if items else ""


def _stages(summary: Summary) -> Html:
    medians, shares = summary.stage_medians_ms(), summary.stage_shares()
    rows = [
        charts.Bar(stage, [(share, ACCENT)], f"{100 * share:.0f}%, {medians[stage]:.1f} ms")
        for stage, share in shares.items()
    ]
    limit = summary.limited_by()
    said = paragraph(f"Limited by: {limit}.", note=True) if limit else ""
    return charts.bars(rows, caption="Share of all work, and the median time where the stage ran") + said


def _input(summary: Summary) -> dict[str, Any]:
    """Totals as people read them: with four significant digits."""
    told = summary.to_json()
    totals = told["totals"].items()
    told["totals"] = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in totals}
    return {key: told[key] for key in ("input", "interval", "saved", "totals", "error") if told[key] is not None}


def player_data(recorder: RunRecorder) -> dict[str, Any]:
    """What `player.js` reads. Times are milliseconds; `step` is the mean time between frames."""
    means, frames = _means(recorder), recorder.bins.frames
    first = (recorder.times_ms or [0])[0]
    rate = recorder.info.frame_rate
    step = (recorder.last_ms - first) / (frames - 1) if frames > 1 else 1000 / float(rate or 25)
    rounded = [[None if np.isnan(v) else round(float(v), 4) for v in row] for row in means]
    return {
        "frames": frames,
        "bins": means.shape[1],
        "step": round(step, 3),
        "pts": recorder.times_ms if frames <= MOST_TIMES else None,
        "keys": recorder.keys,
        "confidence": rounded[0],
        "flicker": rounded[1],
        "shares": rounded[len(ROWS) :],
        "before": recorder.has_before,
        "levels": recorder.has_levels,
        "classes": [
            {"name": name, "colour": list(colour)}
            for name, colour in zip(recorder.labels.names, recorder.labels.colours, strict=True)
        ],
    }
