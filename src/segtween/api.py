"""The entry point for Python: `segtween.load(...)` gives an object that runs, streams and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, overload

from segtween.build import (
    Backend,
    Processor,
    build_engine,
    build_every_frame,
    build_streams,
    method,
    open_backend,
    same_flow,
)
from segtween.engine.multistream import MultiStream
from segtween.errors import SettingError
from segtween.flow import reads_vectors
from segtween.interfaces import Engine, FlowEstimator, Segmenter, Source, scale_of
from segtween.labels import LabelSet, Which
from segtween.results import Pictures, Result, Streams
from segtween.run.inputs import Input, prepare_job, resolve, resolve_one
from segtween.run.modes import InMode, ModeName, Modes, is_finite, open_modes
from segtween.run.options import Outputs, Reading, with_options
from segtween.run.session import Labelling, run_one, run_session
from segtween.run.summary import SessionSummary, Summary
from segtween.segmenters import Preprocessing
from segtween.segmenters.augmented import augmented
from segtween.segmenters.cached import CachedScores
from segtween.settings import DEFAULT_INTERVAL, DEFAULT_MODEL, DEFAULT_PRESET, Settings, change, find_preset
from segtween.texttable import count
from segtween.types import (
    BOTH_SIDES,
    Frame,
    Method,
    Progress,
    Rgb,
    SizeHW,
    SourceInfo,
    check_seconds,
    is_whole,
    method_name,
)
from segtween.video import open_source
from segtween.video.objects import frames_of

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
    if not is_whole(every, least=1):
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
    label_set: Which | None = None,
    runtime: str = "openvino",
    provider: str | None = None,
    precision: str | None = None,
    device: str = "cpu",
    without: Sequence[str] = ("compiled",),
    threads: int = 0,
    network_threads: int | None = None,
    scale: float | Literal["auto"] = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels: str | None = None,
    size_hw: tuple[int, int] | None = None,
    threshold: float | None = None,
    preset: str = DEFAULT_PRESET,
    mode: ModeName | None = None,
    **changes: Any,
) -> Segtween:
    """A network by name, an .onnx file with its sidecar, a folder with model.yaml, a `torch.nn.Module`, `hf:NAME` of
    the Hugging Face hub, stored scores (.npz) or any callable RGB (H, W, 3) uint8 -> scores (C, h, w), ready to run on
    video.

    interval      non-key frames between key frames (4); or every: the network runs on one frame in `every`
    label_set     for a callable or a file that does not say: a name, a YAML file, class names, or their number; for a
                  network that takes words (CLIPSeg) the words to look for
    runtime       openvino or onnxruntime, with `provider` passed on as its device or execution provider
    precision     auto, float32 (the default), bfloat16, int8; on a card float16 (the default there) or float32
    device        cpu; cuda, cuda:1: a card, frames may be torch tensors there (docs/gpu.md; extra [gpu]).
                  `without` names what is left out there of half, kernels, graphs, compiled
    threads       0, or more than there are, uses every processor; network_threads are those of the network alone, if
                  they are to differ
    scale         the network sees the frame enlarged by this factor, above 0. auto: by one that brings the frame near
                  the size of its training frames, where its record says it, else by 1 (`Segtween.scale_at`)
    mean, std, channels, size_hw
                  what a network in torch sees, where it is not stored with it (`segmenters.Preprocessing`): mean and
                  std of pixels in 0..1 (ImageNet's, which is a guess), RGB or BGR, and the one size that it takes. It
                  is exported to ONNX once, checked and kept in the cache; with another device it runs in torch
    threshold     of a network whose classes are scored each for itself (one channel, CLIPSeg, instances): a class is
                  where its probability is above it, in 0..1 (0.5 unless the network says another)
    preset        of the method: composed, blend, warp, swnet-seq; every-frame: the plain network
    mode          causal: a frame is labelled from itself and those before it; bidirectional: from the key frames on
                  both sides, up to one period later. None: `run` labels files, folders and patterns bidirectionally if
                  the preset is the default and its schedule, scores and flow are as there; all else is causal
    changes       single settings of the preset, see `segtween.settings.change`, such as key_tta="mirror"

    Raises ModelError, LabelError, SettingError or MissingExtraError.
    """
    if "labels" in changes:
        raise SettingError(f"labels={changes['labels']!r}", expected="a network's classes as label_set", do="rename it")
    if "classes" in changes:
        raise SettingError(
            f"classes={changes['classes']!r}",
            expected="a network's classes, or the words that it looks for, as label_set; those that are shown in run",
            do="rename it",
        )
    chosen = resolve_interval(interval, every, budget=changes.get("budget"), target_ms=changes.get("target_ms"))
    plain = preset == EVERY_FRAME
    asked = {} if mode is None else {"mode": mode}
    settings = change(Settings() if plain else find_preset(preset), interval=chosen, **changes, **asked)
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
        preprocessing=Preprocessing.of(mean=mean, std=std, channels=channels, size_hw=size_hw),
        threshold=threshold,
    )
    if plain and settings.key_tta != "none":
        backend.check(settings)
        segmenter = augmented(segmenter, settings.key_tta)
    modes = Modes(settings, settings) if plain else open_modes(settings, mode=mode)
    name = method_name(preset, changed=bool(changes))
    return Segtween(segmenter, modes, threads=threads, name=name, plain=plain, backend=backend)


class Segtween:
    """A segmenter and a method, ready for video. Made by `load`; holds one engine of each mode that was needed, so it
    runs one video at a time.

    `settings` in one mode are used in that mode for everything; of `Modes`, `run` takes those for the inputs it is
    given, everything else `online`. `name` is the method's; that of the bidirectional mode says so besides.
    `settings`, `engine` and `method` are those of `online`.

    In the bidirectional mode `stream`, `push` and `finish` give results with a fixed lag: a frame's comes with the
    scores of the next key frame, up to a period later and what the network takes, which works beside the frames.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        settings: Settings | Modes,
        *,
        threads: int = 0,
        name: str = DEFAULT_PRESET,
        plain: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.modes = settings if isinstance(settings, Modes) else Modes(settings, settings)
        self.threads = threads
        self._segmenter, self._plain, self._name = segmenter, plain, EVERY_FRAME if plain else name
        self._backend = backend or Processor(threads)
        self._flows: list[tuple[Settings, FlowEstimator]] = []
        self._built: dict[tuple[Settings, bool], InMode] = {}
        self._online = self._in_mode(self.modes.online)
        self._pictures = Pictures(self.labels)

    @property
    def settings(self) -> Settings:
        return self._online.settings

    @property
    def engine(self) -> Engine:
        return self._online.engine

    @property
    def method(self) -> Method:
        return self._online.method

    def in_mode_for(self, sources: Input | Sequence[Input], *, live: bool = False) -> InMode:
        """The method in the mode that `run` takes for these inputs: bidirectional where none was asked for and all of
        them have an end, unless they are labelled `live`."""
        given: Sequence[Any] = sources if isinstance(sources, (list, tuple)) else [sources]
        finite = not live and all(is_finite(source) for source in given)
        chosen = self._in_mode(self.modes.of(is_finite=finite), live=live)
        if finite and self.modes.note is not None:
            return replace(chosen, notes=(*chosen.notes, self.modes.note))
        return chosen

    def _in_mode(self, settings: Settings, *, live: bool = False) -> InMode:
        """Built when it is first asked for; network, backend and, where it is the same, flow are shared."""
        key = settings, live and settings.is_bidirectional
        if key not in self._built:
            engine = self._engine(settings, live=live)
            is_both = settings.is_bidirectional and not self._plain
            name = f"{self._name.removesuffix(BOTH_SIDES)}{BOTH_SIDES if is_both else ''}"
            self._built[key] = InMode(settings, engine, method(engine, name=name), tuple(engine.notes))
        return self._built[key]

    def _engine(self, settings: Settings, *, live: bool) -> Engine:
        if self._plain:
            return build_every_frame(self._segmenter, backend=self._backend)
        flow = next((flow for other, flow in self._flows if same_flow(other, settings)), None)
        if flow is None:
            self._backend.check(settings)
            flow = self._backend.flow(settings, classes=len(self._segmenter.labels))
            self._flows.append((settings, flow))
        return build_engine(self._segmenter, settings, backend=self._backend, flow=flow, live=live)

    @property
    def _frame_by_frame(self) -> Engine:
        """The engine for frames that are handed over one by one."""
        return self._in_mode(self.modes.online, live=True).engine

    @property
    def labels(self) -> LabelSet:
        return self._segmenter.labels

    def scale_at(self, size_hw: SizeHW) -> float:
        """The scale at which the network sees frames of this size; 1 for what is no network."""
        return scale_of(self._segmenter, size_hw)

    def notes_on(self, info: SourceInfo) -> list[str]:
        """A line where stored scores without names are not of as many frames as an input has."""
        scores = self._segmenter
        if not isinstance(scores, CachedScores) or scores.frames or info.n_frames in (None, len(scores)):
            return []
        held = f"{scores.path.name} holds scores of {count(len(scores), 'frame')}"
        return [f"{held}, {info.name} has {info.n_frames}: are they of this video?"]

    def __repr__(self) -> str:
        network = self.method.record["network"]
        how = [f"{key} {network[key]}" for key in ("precision", "runtime") if key in network]
        interval = self._interval()
        often = "adaptive" if interval is None else f"interval {interval}"
        name = network.get("name", type(self._segmenter).__name__)
        return f"Segtween({', '.join([f'network {name}', f'preset {self._name}', often, *how])})"

    def reset(self) -> None:
        """Forgets the video so far: the next frame is a key frame."""
        self._pictures.reset()
        for built in self._built.values():
            built.engine.reset()

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None) -> Result:
        """The next frame, (H, W, 3) uint8 RGB -> labels and more. SettingError in the bidirectional mode."""
        result = self.engine.step(rgb, pts_seconds=check_seconds(pts_seconds))
        self._pictures.add(rgb)
        return self._pictures.join(result)

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None) -> list[Result]:
        """The next frame, (H, W, 3) uint8 RGB -> the results that it completes, in order: its own; none, or those of
        several frames before it, in the bidirectional mode."""
        results = self._frame_by_frame.push(rgb, pts_seconds=check_seconds(pts_seconds))
        self._pictures.add(rgb)
        return [self._pictures.join(result) for result in results]

    def finish(self) -> list[Result]:
        """The results that are still to come after the last frame. The next frame begins a new video."""
        engine = self._frame_by_frame
        done = [self._pictures.join(result) for result in engine.finish()]
        engine.reset()
        self._pictures.reset()
        return done

    def stream(self, source: str | Path | int | Iterable[Frame] | Iterable[Any] | Any) -> Iterator[Result]:
        """One result per frame of a file, folder, camera or stream; of an OpenCV `VideoCapture`, a decoder of PyAV or
        torchcodec; or of any iterable of frames: NumPy arrays or torch tensors, PIL images, names of image files."""
        if not isinstance(source, (str, Path, int)):
            yield from self._labelled(frames_of(source))
            return
        opened = open_source(source, threads=self.threads, motion_vectors=self._reads_vectors)
        try:
            yield from self._labelled(opened)
        finally:
            opened.close()

    def _labelled(self, frames: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        engine = self._frame_by_frame
        for result in engine.stream(self._pictures.watch(frames)):
            yield self._pictures.join(result)
        engine.reset()
        self._pictures.reset()

    def streams(self, count: int) -> MultiStream:
        """For `count` cameras at once, which share the network: `step([frame, ...])` gives one result for each;
        `push` and `finish` give lists of them, in the bidirectional mode with its lag.

        Key frames are staggered, so that a tick runs the network for at most ceil(count / (interval + 1)) of them,
        first frames and scene cuts apart. Not to be used at the same time as this object's own methods. Raises
        SettingError for stored scores and stored flow.
        """
        return Streams(self._streams(count, self.settings, live=True), self.labels)

    def _streams(self, count: int, settings: Settings, *, live: bool) -> MultiStream:
        chosen = None if self._plain else settings
        return build_streams(self._segmenter, chosen, count, backend=self._backend, live=live)

    def stream_multi(self, sources: Sequence[Input]) -> Iterator[list[Result | None]]:
        """One list of results for one frame of each file, folder, camera or stream; None for those that have ended.

        A folder of videos counts as its videos. Raises SettingError as `streams` does.
        """
        reading = Reading(motion_vectors=self._reads_vectors)
        named, opened = resolve(sources, reading, threads=self.threads), list[Source]()
        streams = self.streams(len(named))
        try:
            opened.extend(item.open() for item in named)
            yield from cast("Iterator[list[Result | None]]", streams.stream(*opened))
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

        Where no mode was asked for, inputs that have an end are labelled bidirectionally (`in_mode_for`).

        outputs, reading  what is written and which part is read
        live              keep up with a camera, a stream, or a file that is played at its rate: frames that come too
                          fast are dropped (`Summary.live`). Load with `async_keys="auto"`, so that a busy network makes
                          the interval longer instead; with `mode="bidirectional"` labels come with a fixed lag
        options           single fields of `run.options.Outputs` and `Reading` by name, such as save=["labels"]
        """
        self._pictures.begin()
        outputs, reading = with_options(outputs, reading, options)
        reading = replace(reading, motion_vectors=reading.motion_vectors or self._reads_vectors)
        used = self.in_mode_for(sources, live=live)
        how = Labelling(used.method, self._interval(), tuple(outputs.save), live)
        prepare = partial(prepare_job, outputs=outputs, labels=self.labels, threads=self.threads)
        if isinstance(sources, (list, tuple)):
            _check_compared_alone(outputs)
            named = resolve(sources, reading, threads=self.threads)
            jobs = [prepare(item, Path(folder) / item.name) for item in named]
            streams = self._streams(len(named), used.settings, live=live)
            return run_session(streams, jobs, how, folder=folder, progress=progress)
        one = resolve_one(sources, reading, threads=self.threads)
        job = prepare(one, Path(folder), caption=self._caption(used.method))
        return run_one(used.engine, job, how, progress=progress)

    @property
    def _reads_vectors(self) -> bool:
        """Whether sources have to keep the motion vectors of a video's coding."""
        return not self._plain and reads_vectors(self.settings.flow.name)

    def _interval(self) -> int | None:
        if self._plain:
            return 0
        return None if self.settings.is_adaptive else self.settings.interval

    def _caption(self, used: Method) -> str:
        """A method's caption in a film that compares methods."""
        if self.settings.is_adaptive:
            return f"segtween ({used.name})"
        return f"segtween ({used.name}), network on 1 frame in {self.settings.interval + 1}"


def _check_compared_alone(outputs: Outputs) -> None:
    if outputs.compare is not None:
        raise SettingError(
            f"compare={outputs.compare.method.name} with several inputs at once",
            expected="one video after the other",
            do="run each input alone",
        )
