"""The front door for Python: `segtween.load(...)` gives an object that runs, streams and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from segtween.build import Backend, Processor, build_engine, build_every_frame, build_streams, method, open_backend
from segtween.engine.multistream import MultiStream
from segtween.errors import SettingError, unknown
from segtween.interfaces import Engine, Segmenter, Source
from segtween.labels import LabelSet
from segtween.metrics.steadiness import SteadinessMeter
from segtween.run.comparison import Beside
from segtween.run.multi import Input, Opened, Together, run_together
from segtween.run.single import Summary, run_source
from segtween.settings import DEFAULT_INTERVAL, DEFAULT_MODEL, DEFAULT_PRESET, Settings, find_preset
from segtween.types import Frame, Method, Progress, Result, Rgb
from segtween.video import NamedSource, open_sinks, open_source, open_sources
from segtween.video.side_by_side import Another

DEFAULT_SAVE = ("overlay",)

Model = str | Path | Callable[[Rgb], Any]


def resolve_interval(
    interval: int | None, every: int | None, *, budget: float | None = None, target_ms: float | None = None
) -> int:
    """`interval=I` and `every=I + 1` say the same; SettingError if both are given and differ, or beside a budget
    or target, which say it otherwise."""
    if (interval, every) != (None, None) and (budget, target_ms) != (None, None):
        said = f"interval {interval}" if every is None else f"every {every}"
        other = f"budget {budget:g}" if budget is not None else f"target {target_ms} ms"
        raise SettingError(f"{said} and {other}", expected="one of them", do="leave one out")
    if every is None:
        return DEFAULT_INTERVAL if interval is None else interval
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise SettingError(
            f"every is {every}",
            expected="a whole number, 1 or more",
            do="give every=5 for the network on every 5th frame",
        )
    if interval is not None and interval != every - 1:
        raise SettingError(
            f"interval {interval} and every {every}",
            expected=f"one of them: every={every} is interval={every - 1}",
            do="leave one out",
        )
    return every - 1


def load(
    model: Model = DEFAULT_MODEL,
    *,
    interval: int | None = None,
    every: int | None = None,
    label_set: str | Path | LabelSet | Sequence[str] | None = None,
    runtime: str = "openvino",
    provider: str | None = None,
    precision: str | None = None,
    device: str = "cpu",
    without: Sequence[str] = ("compiled",),
    threads: int = 0,
    network_threads: int | None = None,
    scale: float = 1.0,
    preset: str = DEFAULT_PRESET,
    **changes: Any,
) -> Segtween:
    """A network by name, an .onnx file with its sidecar, a folder with model.yaml, stored scores (.npz) or any
    callable RGB (H, W, 3) uint8 -> scores (C, h, w), ready to run on video.

    interval      non-key frames between key frames (4); or every: the network runs on one frame in `every`
    label_set     for a callable or a file that does not say: a name, a YAML file, or class names
    runtime       openvino or onnxruntime, with `provider` passed on as its device or execution provider
    precision     auto, float32 (the default), bfloat16, int8; on a card float16 (the default there) or float32
    device        cpu; cuda, cuda:1: a card, frames may be torch tensors there (docs/gpu.md; extra [gpu]).
                  `without` names what is left out there of half, kernels, graphs, compiled
    threads       0 uses every processor; network_threads are those of the network alone, if they are to differ
    scale         the network sees the frame enlarged by this factor, above 0
    preset        of the method: composed, refined, blend, warp, swnet-seq
    changes       single settings of the preset, see `segtween.build.Settings`

    Raises ModelError, LabelError, SettingError or MissingExtraError.
    """
    chosen = resolve_interval(interval, every, budget=changes.get("budget"), target_ms=changes.get("target_ms"))
    settings = adapt(find_preset(preset), interval=chosen, **changes)
    backend = open_backend(device, threads=threads, without=without)
    segmenter = backend.segmenter(
        model,
        runtime=runtime,
        provider=provider,
        precision=precision,
        threads=threads if network_threads is None else network_threads,
        scale=scale,
        label_set=label_set,
        background=bool(settings.late),
    )
    return Segtween(segmenter, settings, threads=threads, name=preset if not changes else f"{preset}*", backend=backend)


def adapt(settings: Settings, **changes: Any) -> Settings:
    """Settings with some of them changed; SettingError names one that does not exist."""
    for name in changes:
        if name not in Settings.__dataclass_fields__:
            raise unknown(f"setting {name!r}", name, Settings.__dataclass_fields__)
    return replace(settings, **changes)


class Segtween:
    """A segmenter and a method, ready for video. Made by `load`; holds one engine, so it runs one video at a time."""

    def __init__(
        self,
        segmenter: Segmenter,
        settings: Settings,
        *,
        threads: int = 0,
        name: str = DEFAULT_PRESET,
        plain: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.settings, self.threads = settings, threads
        self._segmenter, self._plain = segmenter, plain
        self._backend = backend = backend or Processor(threads)
        self.engine: Engine = (
            build_every_frame(segmenter, backend=backend)
            if plain
            else build_engine(segmenter, settings, backend=backend)
        )
        self.method: Method = method(self.engine, name="every-frame" if plain else name)

    @property
    def labels(self) -> LabelSet:
        return self._segmenter.labels

    def reset(self) -> None:
        """Forgets the video so far: the next frame is a key frame."""
        self.engine.reset()

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None) -> Result:
        """The next frame, (H, W, 3) uint8 RGB -> labels and more."""
        return self.engine.step(rgb, pts_seconds=pts_seconds)

    def stream(self, source: str | Path | int | Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        """One result per frame of a file, folder, camera, stream, or of any iterable of frames."""
        if not isinstance(source, (str, Path, int)):
            yield from self.engine.stream(source)
            return
        opened = open_source(source, threads=self.threads)
        try:
            yield from self.engine.stream(opened)
        finally:
            opened.close()

    def streams(self, count: int) -> MultiStream:
        """For `count` cameras at once, which share the network: `step([frame, ...])` gives one result for each.

        Key frames are staggered, so that a tick runs the network for at most ceil(count / (interval + 1)) of them,
        first frames and scene cuts apart. Not to be used at the same time as this object's own methods. Raises
        SettingError for the offline mode, stored scores and stored flow.
        """
        settings = None if self._plain else self.settings
        return build_streams(self._segmenter, settings, count, backend=self._backend)

    def stream_together(self, sources: Sequence[str | Path | int]) -> Iterator[list[Result | None]]:
        """One list of results for one frame of each file, folder, camera or stream; None for those that have ended."""
        streams, opened = self.streams(len(sources)), list[Source]()
        try:
            opened.extend(open_source(source, threads=self.threads) for source in sources)
            yield from streams.stream(*opened)
        finally:
            for source in opened:
                source.close()

    def run(
        self,
        source: str | Path | int | Source,
        folder: str | Path,
        *,
        save: Sequence[str] = DEFAULT_SAVE,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        frame_rate: float | None = None,
        overwrite: bool = False,
        classes: Sequence[str] | None = None,
        ids: Literal["train", "dataset"] = "train",
        report: bool = False,
        beside: Segtween | None = None,
        live: bool = False,
        progress: Progress | None = None,
    ) -> Summary:
        """One input, every frame, into files of fixed names in `folder`.

        `source` is a file, folder, pattern, camera, stream address or `-`, or an opened source; `start_seconds`,
        `duration_seconds` and `frame_rate` belong to the former.
        `save` is any of the kinds in `segtween.video.SAVE_KINDS`; frames.csv and run.json are always written.
        `report` measures steadiness and flicker as well (`Summary.steadiness`, run.json), which takes longer.
        `beside` is another method with a segmenter of its own, such as `Segtween(..., plain=True)`: both are filmed
        next to each other, with their flicker below (`beside-<its name>.mp4`, `Summary.beside`).
        `live` keeps up with a camera, a stream, or a file that is played at its rate: frames that come too fast are
        dropped (`Summary.live`). Load with `late="auto"`, so that a busy network makes the interval longer instead.
        Raises SourceError or SinkError; what was done by then is kept.
        """
        opened = (
            open_source(
                source,
                start_seconds=start_seconds,
                duration_seconds=duration_seconds,
                threads=self.threads,
                frame_rate=frame_rate,
            )
            if isinstance(source, (str, Path, int))
            else source
        )
        try:
            other = None if beside is None else Beside(beside.engine, beside.method, classes=len(beside.labels))
            sink = open_sinks(
                folder,
                save=save,
                info=opened.info,
                labels=self.labels,
                overwrite=overwrite,
                classes=classes,
                ids=ids,
                threads=self.threads,
                beside=None if other is None else Another(other.method.name, self._said(), other.take),
            )
        except BaseException:
            opened.close()
            raise
        return run_source(
            self.engine,
            opened,
            sink,
            folder,
            method=self.method,
            interval=self._interval(),
            saved=save,
            meter=SteadinessMeter(len(self.labels)) if report else None,
            beside=other,
            live=live,
            progress=progress,
        )

    def run_together(
        self,
        sources: Sequence[str | Path | int],
        folder: str | Path,
        *,
        save: Sequence[str] = DEFAULT_SAVE,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        frame_rate: float | None = None,
        overwrite: bool = False,
        classes: Sequence[str] | None = None,
        ids: Literal["train", "dataset"] = "train",
        report: bool = False,
        live: bool = False,
        progress: Progress | None = None,
    ) -> Together:
        """Several inputs at once, a frame of each in turn, with one network; each gets a folder of its own in `folder`.

        `sources` are files, cameras, streams and folders, each of whose videos counts as one; the other arguments are
        those of `run`. One that cannot be read or written ends, with its error in its `Outcome`, while the others go
        on. Raises SettingError as `streams` does.
        """
        named = open_sources(
            sources,
            start_seconds=start_seconds,
            duration_seconds=duration_seconds,
            threads=self.threads,
            frame_rate=frame_rate,
        )

        def opened(item: NamedSource) -> Opened:
            source = item.open()
            try:
                sink = open_sinks(
                    Path(folder) / item.name,
                    save=save,
                    info=source.info,
                    labels=self.labels,
                    overwrite=overwrite,
                    classes=classes,
                    ids=ids,
                    threads=self.threads,
                )
            except BaseException:
                source.close()
                raise
            return Opened(source, sink, SteadinessMeter(len(self.labels)) if report else None)

        return run_together(
            self.streams(len(named)),
            [Input(item.name, Path(folder) / item.name, partial(opened, item)) for item in named],
            folder,
            method=self.method,
            interval=self._interval(),
            saved=save,
            live=live,
            progress=progress,
        )

    def _interval(self) -> int | None:
        return self.settings.interval if self.settings.schedule == "fixed" else None

    def _said(self) -> str:
        """For a caption."""
        if self.settings.schedule != "fixed":
            return f"segtween ({self.method.name})"
        return f"segtween ({self.method.name}), network on 1 frame in {self.settings.interval + 1}"
