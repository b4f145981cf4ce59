"""`segtween run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from segtween.cli import options, shared, texts
from segtween.cli.flags import in_flags
from segtween.cli.grouping import Rare
from segtween.cli.guard import BAD_INPUT, say_error
from segtween.cli.options import MethodOptions, NetworkOptions
from segtween.errors import SegtweenError, SettingError, check_known

if TYPE_CHECKING:
    from segtween.api import Segtween
    from segtween.reports.html.run_page import Asked
    from segtween.run.options import Outputs, Reading
    from segtween.run.summary import Summary
    from segtween.video import NamedSource


@dataclass(frozen=True)
class ReadingOptions:
    PANEL: ClassVar[str] = "Input"

    start: Annotated[float, typer.Option(metavar="SECONDS", help="Begin here.")] = 0.0
    duration: shared.Duration = None
    frame_rate: shared.FrameRate = None


@dataclass(frozen=True)
class OutputOptions(shared.SaveOptions):
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET",
            help="Film another method, or every-frame, next to this one, with the flicker of both; takes longer.",
        ),
    ] = None
    ids: shared.Ids = "train"
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Measure temporal consistency and flicker of the labels, and write report.html; takes longer.",
        ),
    ] = False


@dataclass(frozen=True)
class LiveOptions:
    """How inputs come, and where they are labelled."""

    PANEL: ClassVar[str] = "Live"

    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Keep up with a camera, a stream, or a file played at its rate; frames that come too fast are "
            "dropped.",
        ),
    ] = False
    lag: shared.Lag = False
    multi: Annotated[
        bool | None,
        typer.Option(
            "--multi/--one-by-one",
            help="Several inputs at once with one network (default for cameras, streams and --live), or one after "
            "the other (default for files).",
        ),
    ] = None
    device: shared.OnDevice = "cpu"


def run(
    *,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Files, folders, globs, camera:0, stream addresses, or - for stdin."),
    ],
    reading: Annotated[ReadingOptions, Rare("start", "duration", "frame_rate")],
    output: Annotated[OutputOptions, Rare(*options.SELDOM_OUTPUT, "report", "quiet")],
    network: Annotated[NetworkOptions, Rare(*options.SELDOM_NETWORK)],
    keys: shared.KeyFrameOptions,
    method: Annotated[MethodOptions, Rare(*options.SELDOM_METHOD)],
    mode: Annotated[shared.ModeOptions, Rare("offline")],
    how: Annotated[LiveOptions, Rare("multi")],
) -> None:
    """Segment every frame of a video: the network on key frames, optical flow in between.

    A frame of a file is labelled from the key frames before and after it, one of a camera or stream from the past.

    Examples:

        segtween run drive.mp4 -o out/

        segtween run drive.mp4 -o out/ --save overlay,labels --every 5

        segtween run videos/ more.mkv -o out/ --save labels --classes car,pedestrian

        segtween run drive.mp4 -o out/ --online

        segtween run drive.mp4 -o out/ --schedule adaptive --budget 20 --report

        segtween run drive.mp4 -o out/ --compare every-frame

        segtween run frames/*.png -o out/ --frame-rate 30 --model my.onnx

        segtween run camera:0 camera:1 rtsp://gate/stream -o out/ --live

        segtween run camera:0 -o out/ --live --lag
    """
    from segtween.api import load
    from segtween.cli.run_texts import compiling, notes_held, report_one, report_session, start_line, start_line_of_many
    from segtween.cli.screen import notes, progress_bar
    from segtween.flow import reads_vectors
    from segtween.reports.html.recording import Recorders
    from segtween.reports.html.run_page import Asked
    from segtween.run.inputs import note_on_rate, resolve
    from segtween.run.modes import is_finite
    from segtween.run.options import Reading
    from segtween.video.saving import refuse_results, save_kinds
    from segtween.video.staging import check_folder

    asked, out, quiet, live = mode.asked(lag=how.lag), output.out, output.quiet, how.live
    part = Reading(reading.start, reading.duration, reading.frame_rate)
    todo = resolve(inputs, replace(part, motion_vectors=reads_vectors(method.flow)), threads=network.threads)
    _check_lag(how, todo)
    wanted = output.outputs(ids=output.ids)
    save_kinds(wanted.save)  # a misspelt kind is said before anything takes long
    load_options: dict[str, Any] = {"interval": keys.interval, "every": keys.every, "device": how.device, "mode": asked}
    of_network = _with_words(network.for_load(), wanted.classes)
    load_options |= {**of_network, **method.for_load()}
    check_folder(out)
    alone = len(todo) == 1 and todo[0].spec == inputs[0]
    if alone and not output.overwrite:
        refuse_results(out)
    if len(todo) == 1 and is_finite(todo[0]):
        todo = [_opened(todo[0])]  # so is a file that cannot be read
    if live and how.device == "cpu" and method.async_keys is None and asked != "bidirectional":
        load_options |= {} if method.schedule == "adaptive" else {"async_keys": "auto"}
    if note := note_on_rate([item.spec for item in todo], part):
        notes.print(in_flags(note), markup=False)
    opening = compiling(network.chosen_model(), device=how.device, quiet=quiet)
    with shared.errors_of_lag(how.lag), opening, notes_held():
        seg = load(**load_options)
    at_once = _are_at_once(todo, how.multi, live=live)
    used = [seg.in_mode_for(todo, live=live)] if at_once else [seg.in_mode_for(item, live=live) for item in todo]
    for note in dict.fromkeys(note for one in used for note in one.notes):
        notes.print(in_flags(note), markup=False)
    compared = None if output.compare is None else _compared(output.compare, of_network, interval=seg.settings.interval)
    outputs = replace(
        wanted,
        report=output.report,
        compare=compared,
        recorder=Recorders() if output.report else None,
    )
    kinds = outputs.save
    asked_for = Asked(
        texts.command_line(),
        load_options,
        {**_changed(outputs), **_changed(part), **({"live": True} if live else {})},
        output.compare,
    )
    if at_once:
        if not quiet:
            notes.print(start_line_of_many([item.name for item in todo], used[0], out, save=kinds), markup=False)
        with progress_bar(f"{len(todo)} inputs") as progress:
            done = seg.run(todo, out, outputs=outputs, live=live, progress=None if quiet else progress)
        for one in done.summaries:
            _write_report(one, outputs, asked_for)
        report_session(done, out, quiet=quiet)
        return
    failed = 0
    for item, chosen in zip(todo, used, strict=True):
        folder = out if alone else out / item.name
        try:
            opened = _opened(item)
            source = opened.open()
            for note in seg.notes_on(source.info) if part == Reading() else ():
                notes.print(note, markup=False)
            if not quiet:
                scale = seg.scale_at(source.info.size_hw)
                notes.print(start_line(item.spec, source.info, chosen, folder, save=kinds, scale=scale), markup=False)
            with progress_bar(item.name) as progress:
                summary = seg.run(opened, folder, outputs=outputs, live=live, progress=None if quiet else progress)
            _write_report(summary, outputs, asked_for)
        except SegtweenError as error:
            failed += 1
            say_error(error)
            continue
        if not quiet:
            report_one(summary)
    if failed:
        if len(todo) > 1:
            notes.print(f"{len(todo) - failed} of {len(todo)} inputs done, {failed} failed")
        raise typer.Exit(BAD_INPUT)


def _check_lag(how: LiveOptions, todo: Sequence[NamedSource]) -> None:
    """SettingError for a lag where nothing comes live."""
    from segtween.run.modes import is_finite

    if how.lag and not how.live and all(is_finite(item) for item in todo):
        raise SettingError(
            "--lag for files that are not played live",
            expected="a camera, a stream, or --live",
            do="leave it out: files are labelled from both sides by default",
        )


def _with_words(load_options: dict[str, Any], classes: Sequence[str] | None) -> dict[str, Any]:
    """The options of a network; the classes that outputs show are the words of one that takes words, where no label set
    names more."""
    from segtween.adapters import takes_words

    if classes is None or load_options["label_set"] is not None or not takes_words(load_options["model"]):
        return load_options
    return {**load_options, "label_set": list(classes)}


def _opened(item: NamedSource) -> NamedSource:
    """The same input, opened now and then no more."""
    source = item.open()
    return replace(item, open=lambda: source)


def _are_at_once(todo: Sequence[NamedSource], multi: bool | None, *, live: bool) -> bool:
    """Whether these inputs are run at once: if asked for, or live, or if one of them may have no end."""
    from segtween.video.inputs import kind_of

    if len(todo) == 1 or multi is not None:
        return bool(multi) and len(todo) > 1
    return live or any(kind_of(item.spec) in ("camera", "stream") for item in todo)


def _compared(name: str, network: dict[str, Any], *, interval: int) -> Segtween:
    """Another method at the same interval, on a network of its own: each keeps what belongs to its frame."""
    from segtween.api import EVERY_FRAME, load
    from segtween.settings import PRESETS

    check_known(f"--compare {name!r}", name, (EVERY_FRAME, *PRESETS))
    return load(preset=name, interval=interval, **network)


def _changed(of: Outputs | Reading) -> dict[str, Any]:
    """The fields that differ from the usual ones and have a plain value."""
    usual = type(of)()
    names = [field.name for field in fields(of) if field.name not in ("compare", "recorder")]
    given = {name: _plain(getattr(of, name)) for name in names}
    return {name: value for name, value in given.items() if value != _plain(getattr(usual, name))}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _write_report(summary: Summary, outputs: Outputs, asked: Asked) -> None:
    """`report.html`, where there was a frame and a report is wanted."""
    from segtween.reports.html.recording import Recorders
    from segtween.reports.html.run_page import write_run_report

    if isinstance(outputs.recorder, Recorders) and summary.frames:
        write_run_report(summary, outputs.recorder.of(summary.input), asked)
