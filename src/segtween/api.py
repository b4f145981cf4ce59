"""The entry point for Python: `segtween.load(...)` gives an object that runs, streams and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, overload

from segtween.build import Backend, Processor, build_engine, build_every_frame, build_streams, method, open_backend
from segtween.engine.multistream import MultiStream
from segtween.errors import SettingError
from segtween.interfaces import Engine, Segmenter, Source
from segtween.labels import LabelSet
from segtween.run.inputs import Input, prepare_job, resolve, resolve_one
from segtween.run.options import Outputs, Reading, with_options
from segtween.run.session import Labelling, run_one, run_session
from segtween.run.summary import SessionSummary, Summary
from segtween.segmenters.augmented import augmented
from segtween.settings import DEFAULT_INTERVAL, DEFAULT_MODEL, DEFAULT_PRESET, Settings, change, find_preset
from segtween.types import Frame, Method, Progress, Result, Rgb, method_name
from segtween.video import open_source

EVERY_FRAME = "every-frame"
"""Stands for a preset where a method to compare with is asked for: the plain network on every frame."""

Model = str | Path | Callable[[Rgb], Any]


def resolve_interval(
    interval: int | None, every: int | None, *, budget: float | None = None, target_ms: float | None = None
) -> int:
    """`interval=I` and `every=I + 1` say the same; SettingError if both are given and differ, or together with a
    budget or target."""
    if (interval, every) != (None, None) and (budget, target_ms) != (None, None):
        spacing = f"interval {interval}" if every is None else f"every {every}"
        other = f"budget {budget:g}" if budget is not None else f"target {target_ms} ms"
        raise SettingError(f"{spacing} and {other}", expected="one of them", do="leave one out")
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
    preset        of the method: composed, refined, blend, warp, swnet-seq; every-frame: the plain network
    changes       single settings of the preset, see `segtween.settings.change`, such as key_tta="mirror"

    Raises ModelError, LabelError, SettingError or MissingExtraError.
    """
    chosen = resolve_interval(interval, every, budget=changes.get("budget"), target_ms=changes.get("target_ms"))
    plain = preset == EVERY_FRAME
    settings = change(Settings() if plain else find_preset(preset), interval=chosen, **changes)
    backend = open_backend(device, threads=threads, without=without)
    segmenter = backend.segmenter(
        model,
        runtime=runtime,
        provider=provider,
        precision=precision,
        threads=threads if network_threads is None else network_threads,
        scale=scale,
        label_set=label_set,
        background=settings.delay is not None,
    )
    if plain and settings.key_tta != "none":
        backend.check(settings)
        segmenter = augmented(segmenter, settings.key_tta)
    name = method_name(
        preset, changed=bool(changes.keys() - {"mode"}), bidirectional=changes.get("mode") == "bidirectional"
    )
    return Segtween(segmenter, settings, threads=threads, name=name, plain=plain, backend=backend)


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
        self.method: Method = method(self.engine, name=EVERY_FRAME if plain else name)

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
        SettingError for stored scores and stored flow.
        """
        settings = None if self._plain else self.settings
        return build_streams(self._segmenter, settings, count, backend=self._backend)

    def stream_multi(self, sources: Sequence[Input]) -> Iterator[list[Result | None]]:
        """One list of results for one frame of each file, folder, camera or stream; None for those that have ended.

        A folder of videos counts as its videos. Raises SettingError as `streams` does, and for the offline mode.
        """
        named, opened = resolve(sources, Reading(), threads=self.threads), list[Source]()
        streams = self.streams(len(named))
        try:
            opened.extend(item.open() for item in named)
            yield from streams.stream(*opened)
        finally:
            for source in opened:
                source.close()

    @overload
    def run(
        self,
        sources: list[Any] | tuple[Any, ...],
        folder: str | Path,
        *,
        outputs: Outputs | None = None,
        reading: Reading | None = None,
        live: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> SessionSummary: ...
    @overload
    def run(
        self,
        sources: Input,
        folder: str | Path,
        *,
        outputs: Outputs | None = None,
        reading: Reading | None = None,
        live: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> Summary: ...
    def run(
        self,
        sources: Input | list[Any] | tuple[Any, ...],
        folder: str | Path,
        *,
        outputs: Outputs | None = None,
        reading: Reading | None = None,
        live: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> Summary | SessionSummary:
        """Every frame of one input, or of several at once, into files of fixed names.

        An input is a file, folder, pattern, camera, stream address or `-`, or an opened source. A single input is
        written into `folder`; an error that ends it early is raised (SourceError, SinkError, ...), and what was done by
        then is kept. In a list or tuple, each input gets a folder of its own in `folder`, and all are labelled frame by
        frame with one network; a folder of videos counts as its videos. An error that ends one input early is recorded
        in its `Outcome` while the others continue; SettingError for stored scores and flow, and on another device than
        the processor.

        outputs, reading  what is written and which part is read
        live              keep up with a camera, a stream, or a file that is played at its rate: frames that come too
                          fast are dropped (`Summary.live`). Load with `async_keys="auto"`, so that a busy network makes
                          the interval longer instead
        options           single fields of `run.options.Outputs` and `Reading` by name, such as save=["labels"]
        """
        outputs, reading = with_options(outputs, reading, options)
        how = Labelling(self.method, self._interval(), tuple(outputs.save), live)
        prepare = partial(prepare_job, outputs=outputs, labels=self.labels, threads=self.threads)
        if isinstance(sources, (list, tuple)):
            _check_compared_alone(outputs)
            named = resolve(sources, reading, threads=self.threads)
            jobs = [prepare(item, Path(folder) / item.name) for item in named]
            return run_session(self.streams(len(named)), jobs, how, folder=folder, progress=progress)
        one = resolve_one(sources, reading, threads=self.threads)
        return run_one(self.engine, prepare(one, Path(folder), caption=self._caption()), how, progress=progress)

    def _interval(self) -> int | None:
        if self._plain:
            return 0
        return None if self.settings.is_adaptive else self.settings.interval

    def _caption(self) -> str:
        """This method's caption in a film that compares methods."""
        if self.settings.is_adaptive:
            return f"segtween ({self.method.name})"
        return f"segtween ({self.method.name}), network on 1 frame in {self.settings.interval + 1}"


def _check_compared_alone(outputs: Outputs) -> None:
    if outputs.compare is not None:
        raise SettingError(
            f"compare={outputs.compare.method.name} with several inputs at once",
            expected="one video after the other",
            do="run each input alone",
        )
