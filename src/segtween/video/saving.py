"""From names such as overlay and labels to the outputs of one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segtween.errors import SettingError, SinkError, unknown
from segtween.labels import LabelSet
from segtween.types import OutputReport, SourceInfo
from segtween.video import SaveKind, SaveOptions
from segtween.video.cvat import CvatArchive
from segtween.video.encode import Clock, Codec, VideoWriter
from segtween.video.frames_table import FramesTable
from segtween.video.inputs import safe_name
from segtween.video.lock import FolderLock
from segtween.video.outputs import Output, Outputs
from segtween.video.paint import Painter, Style
from segtween.video.side_by_side import ComparedMethod, ComparisonPicture
from segtween.video.sinks import (
    Draw,
    Film,
    Ids,
    LabelImages,
    SharedPainter,
    VideoSink,
    confidence_picture,
    mask_picture,
    values_in_file,
)
from segtween.video.sound import Notice
from segtween.video.staging import sink_errors

FRAMES_TABLE = "frames.csv"


@dataclass(frozen=True)
class Request:
    """What the builders need: the folder, the clip, the label set, the chosen classes as train ids."""

    folder: Path
    info: SourceInfo
    labels: LabelSet
    classes: tuple[int, ...]
    ids: Ids
    threads: int
    notice: Notice
    painter: SharedPainter

    def video(self, name: str, codec: Codec, draw: Draw) -> VideoSink:
        writer = VideoWriter(
            self.folder / name,
            codec=codec,
            clock=Clock.of(self.info),
            threads=self.threads,
            audio_path=self.info.audio_path,
            end_seconds=self.info.end_seconds,
            notice=self.notice,
        )
        return VideoSink(writer, draw)

    def film(self, name: str, film: Film) -> VideoSink:
        clock = Clock.of(self.info)
        writer = VideoWriter(self.folder / name, codec="h264", clock=clock, threads=self.threads, x264=film.x264)
        return VideoSink(writer, film.draw)

    def mask_names(self) -> list[str]:
        return [f"masks-{safe_name(self.labels.names[c])}.mkv" for c in self.classes]


@dataclass(frozen=True)
class Saving:
    """The names in the folder, and how the outputs are made."""

    names: Callable[[Request], list[str]]
    build: Callable[[Request], list[Output]]


def _labels_video(request: Request) -> list[Output]:
    values = values_in_file(request.labels, request.ids)[0]
    return [request.video("labels.mkv", "ffv1", lambda _, result: values(result.labels))]


def _masks(request: Request) -> list[Output]:
    pairs = zip(request.mask_names(), request.classes, strict=True)
    return [request.video(name, "ffv1", mask_picture(train_id)) for name, train_id in pairs]


SAVINGS: dict[SaveKind, Saving] = {
    "overlay": Saving(
        lambda _: ["overlay.mp4"],
        lambda r: [r.video("overlay.mp4", "h264", r.painter)],
    ),
    "side-by-side": Saving(
        lambda _: ["side-by-side.mp4"],
        lambda r: [r.video("side-by-side.mp4", "h264", r.painter.beside_input)],
    ),
    "labels": Saving(
        lambda _: ["labels"],
        lambda r: [LabelImages(r.folder / "labels", r.labels, ids=r.ids)],
    ),
    "labels-video": Saving(lambda _: ["labels.mkv"], _labels_video),
    "confidence": Saving(
        lambda _: ["confidence.mkv"],
        lambda r: [r.video("confidence.mkv", "ffv1", confidence_picture)],
    ),
    "masks": Saving(Request.mask_names, _masks),
    "cvat": Saving(
        lambda _: ["cvat.zip"],
        lambda r: [CvatArchive(r.folder / "cvat.zip", r.labels)],
    ),
}
"""Every kind that can be saved: the names it has in the folder, and its builder."""

_FILE_NAMES: dict[str, SaveKind] = {
    "overlay.mp4": "overlay",
    "side-by-side.mp4": "side-by-side",
    "labels.mkv": "labels-video",
    "confidence.mkv": "confidence",
    "cvat.zip": "cvat",
}


def save_kinds(save: Sequence[str]) -> list[SaveKind]:
    """The kinds named, each once; a kind may also be named by its file. SettingError lists the choices."""
    kinds: list[SaveKind] = []
    for name in save:
        key = name.strip().lower()
        kind = _FILE_NAMES.get(key, key)
        if kind not in SAVINGS:
            raise unknown(f"save={name!r} is not known", kind, SAVINGS, among="some of", otherwise="choose among these")
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def open_sinks(
    folder: str | Path,
    saving: SaveOptions,
    *,
    info: SourceInfo,
    labels: LabelSet,
    threads: int = 1,
    comparison: ComparedMethod | None = None,
    films: Mapping[str, Film] | None = None,
) -> Outputs:
    """The chosen outputs of one clip in `folder`, which is made if need be; always with frames.csv.

    `comparison` is another method: `compare-<name>.mp4` shows both; `films` are further ones, by name. What could not
    be done (a sound track that does not fit) stands in the notes of the outputs' `report`. The folder is locked until
    they are closed. Raises SettingError for an unknown kind, LabelError for an unknown class, and SinkError where
    another run writes into the folder, an output exists already (unless `overwrite`) or cannot be written; nothing has
    been changed then.
    """
    root, classes, ids = Path(folder), saving.classes, saving.ids
    chosen = tuple(dict.fromkeys(labels.index(c) for c in classes)) if classes else tuple(range(len(labels)))
    if ids not in ("train", "dataset"):
        raise SettingError(f"ids={ids!r}", expected="train or dataset", do="choose one of these")
    report = OutputReport()
    style = Style(chosen if classes else None, saving.alpha, saving.outline)
    painter = SharedPainter(Painter(labels, style, legend=saving.legend))
    request = Request(root, info, labels, chosen, ids, threads, report.note, painter)
    kinds = save_kinds(saving.kinds)
    compared = {} if comparison is None else _films(comparison, labels, style, info.n_frames)
    more = films or {}
    with sink_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(root)
    try:
        names = [FRAMES_TABLE, *compared, *more, *(name for kind in kinds for name in SAVINGS[kind].names(request))]
        if not saving.overwrite:
            _refuse_existing([root / name for name in names])
        outputs = _build(request, kinds, compared, more)
    except BaseException:
        lock.release()
        raise
    old_masks = root.glob("masks-*.mkv") if saving.overwrite and "masks" in kinds else ()
    return Outputs(outputs, report=report, stale=[p for p in old_masks if p.name not in names], lock=lock)


def _build(
    request: Request, kinds: Sequence[SaveKind], compared: Mapping[str, Draw], films: Mapping[str, Film]
) -> list[Output]:
    outputs: list[Output] = []
    try:
        for kind in kinds:
            outputs += SAVINGS[kind].build(request)
        outputs += [request.video(name, "h264", draw) for name, draw in compared.items()]
        outputs += [request.film(name, film) for name, film in films.items()]
        # Last: a line in the table says that the frame is in the other files.
        outputs.append(FramesTable(request.folder / FRAMES_TABLE, request.labels))
    except BaseException:
        Outputs(outputs).abort()
        raise
    return outputs


def _films(comparison: ComparedMethod, labels: LabelSet, style: Style, frames: int | None) -> dict[str, Draw]:
    picture = ComparisonPicture(comparison, labels, style=style, frames=frames)
    return {f"compare-{safe_name(comparison.name)}.mp4": picture}


def _refuse_existing(targets: Sequence[Path]) -> None:
    for target in targets:
        if target.is_dir() and not any(target.iterdir()):
            continue
        if target.exists() or target.is_symlink():
            raise SinkError(
                f"{target} exists already",
                expected="a folder without earlier results",
                do="give overwrite=True to replace them, or choose another folder",
            )
