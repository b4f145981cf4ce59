"""From names such as overlay and labels to the outputs of one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtween.errors import SettingError, SinkError, unknown
from segtween.labels import LabelSet
from segtween.ops.threads import limit_threads
from segtween.types import IGNORE, Frame, OutputReport, Result, SourceInfo
from segtween.video import SaveKind, SaveOptions
from segtween.video.annotations.coco import Coco
from segtween.video.annotations.cvat_xml import CvatXml
from segtween.video.annotations.label_studio import ImageTasks, VideoTask
from segtween.video.annotations.text import Form, TextOutput
from segtween.video.annotations.yolo import yolo_files
from segtween.video.cutouts import CutOut
from segtween.video.cvat import CvatArchive
from segtween.video.encode import Clock, Codec, VideoWriter
from segtween.video.frames_table import FRAMES_TABLE, FramesTable
from segtween.video.inputs import safe_name, unique_names
from segtween.video.lock import FolderLock
from segtween.video.outputs import Output, Outputs
from segtween.video.paint import Painter, Style, full_size
from segtween.video.png import encode_png
from segtween.video.side_by_side import ComparedMethod, ComparisonPicture
from segtween.video.sinks import (
    Draw,
    Film,
    FrameFiles,
    Ids,
    SharedPainter,
    VideoSink,
    confidence_picture,
    label_images,
    mask_picture,
    values_in_file,
)
from segtween.video.sound import Notice


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
    cut_out: CutOut | None

    def video(self, name: str, codec: Codec, draw: Draw, *, x264: Mapping[str, str] | None = None) -> VideoSink:
        """With its own options of the encoder it is a film, and has no sound."""
        writer = VideoWriter(
            self.folder / name,
            codec=codec,
            clock=Clock.of(self.info),
            threads=self.threads,
            audio_path=self.info.audio_path if x264 is None else None,
            end_seconds=self.info.end_seconds,
            notice=self.notice,
            x264=x264,
        )
        return VideoSink(writer, draw)

    @property
    def chosen(self) -> CutOut:
        """What cuts the chosen classes out; SettingError where none were chosen."""
        if self.cut_out is None:
            raise SettingError(
                "a cut-out of all classes",
                expected="the classes that are to be cut out",
                do="give classes=['person'], or others",
            )
        return self.cut_out

    def mask_names(self) -> list[str]:
        names = unique_names(safe_name(self.labels.names[c]) for c in self.classes)
        return [f"masks-{name}.mkv" for name in names]


class Saving(NamedTuple):
    """What an output is called in the folder, or what names the outputs of a kind; and what makes the one of a name."""

    name: str | Callable[[Request], list[str]]
    make: Callable[[Request, str], Output]

    def names(self, request: Request) -> list[str]:
        return [self.name] if isinstance(self.name, str) else self.name(request)


def _labels_video(request: Request, name: str) -> Output:
    values = values_in_file(request.labels, request.ids)[0]
    return request.video(name, "ffv1", lambda _, result: values(result.labels))


def _mask(request: Request, name: str) -> Output:
    train_id = request.classes[request.mask_names().index(name)]
    return request.video(name, "ffv1", mask_picture(train_id))


def _cut_out_names(request: Request) -> list[str]:
    return ["cutout.mp4" if request.cut_out is not None and request.cut_out.is_composed else "cutout.webm"]


def _cut_out_files(request: Request, name: str) -> Output:
    draw = request.chosen.picture
    return FrameFiles(request.folder / name, lambda frame, result: encode_png(draw(frame, result)))


def _mattes(request: Request, name: str) -> Output:
    cut_out = request.chosen
    return FrameFiles(request.folder / name, lambda _, result: encode_png(cut_out.matte(result.labels)))


def _text(name: str, form: Callable[..., Form], **how: Any) -> Saving:
    """A file that is made of a form of the input's name and label set."""
    return Saving(name, lambda r, name: TextOutput(r.folder / name, form(r.info, r.labels, **how)))


def _recording(request: Request, name: str) -> Output:
    from segtween.video.rerun_log import RerunLog

    return RerunLog(request.folder / name, request.info, request.labels)


SAVINGS: dict[SaveKind, Saving] = {
    "overlay": Saving("overlay.mp4", lambda r, name: r.video(name, "h264", r.painter)),
    "side-by-side": Saving("side-by-side.mp4", lambda r, name: r.video(name, "h264", r.painter.beside_input)),
    "labels": Saving("labels", lambda r, name: label_images(r.folder / name, r.labels, ids=r.ids)),
    "labels-video": Saving("labels.mkv", _labels_video),
    "confidence": Saving("confidence.mkv", lambda r, name: r.video(name, "ffv1", confidence_picture)),
    "masks": Saving(Request.mask_names, _mask),
    "cutout": Saving(_cut_out_names, lambda r, name: r.video(name, r.chosen.codec, r.chosen.picture)),
    "cutouts": Saving("cutouts", _cut_out_files),
    "mattes": Saving("mattes", _mattes),
    "cvat": Saving("cvat.zip", lambda r, name: CvatArchive(r.folder / name, r.labels)),
    "cvat-images": _text("cvat-images.xml", CvatXml, kind="images"),
    "cvat-video": _text("cvat-video.xml", CvatXml, kind="video"),
    "coco": _text("coco.json", Coco),
    "coco-polygons": _text("coco-polygons.json", Coco, polygons=True),
    "yolo": Saving("yolo", lambda r, name: yolo_files(r.folder / name, r.labels)),
    "label-studio": _text("label-studio.json", ImageTasks),
    "label-studio-video": _text("label-studio-video.json", VideoTask),
    "rrd": Saving("clip.rrd", _recording),
}
"""Every kind that can be saved: the names it has in the folder, and what makes it."""

_KIND_OF_NAME = {saving.name: kind for kind, saving in SAVINGS.items() if isinstance(saving.name, str)}


def save_kinds(save: Sequence[str]) -> list[SaveKind]:
    """The kinds named, each once; a kind may also be named by its file. SettingError lists the choices."""
    kinds: list[SaveKind] = []
    for name in save:
        key = name.strip().lower()
        kind = _KIND_OF_NAME.get(key, key)
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
    root, classes = Path(folder), saving.classes
    labels = labels.with_palette(saving.palette)
    chosen, renamed = (tuple(range(len(labels))), ()) if classes is None else labels.choose(classes)
    kinds = _checked_kinds(saving)
    report = OutputReport(notes=list(renamed))
    tinted = None if classes is None else chosen
    style = Style(tinted, saving.alpha, saving.outline)
    painter = SharedPainter(Painter(labels, style))
    cut_out = None if tinted is None else CutOut(tinted, saving.background)
    request = Request(root, info, labels, chosen, saving.ids, limit_threads(threads), report.note, painter, cut_out)
    further = dict(films or {})
    if comparison is not None:
        picture = ComparisonPicture(comparison, labels, style=style, frames=info.n_frames)
        further = {f"compare-{safe_name(comparison.name)}.mp4": Film(picture), **further}
    lock = FolderLock(root)
    try:
        names = [FRAMES_TABLE, *further, *(name for kind in kinds for name in SAVINGS[kind].names(request))]
        if not saving.overwrite:
            _refuse_existing([root / name for name in names])
        outputs = _build(request, kinds, further)
    except BaseException:
        lock.release()
        raise
    old_masks = root.glob("masks-*.mkv") if saving.overwrite and "masks" in kinds else ()
    stale = [path for path in old_masks if path.name not in names]
    prepare = None if saving.unknown_below is None else partial(_without_unsure, least=saving.unknown_below)
    return Outputs(outputs, report=report, stale=stale, lock=lock, prepare=prepare)


def _without_unsure(frame: Frame, result: Result, *, least: float) -> Result:
    """The same result, its labels of a confidence below `least` to be ignored."""
    unsure = full_size(result.confidence, frame.size_hw) < least
    return replace(result, labels=np.where(unsure, np.uint8(IGNORE), result.labels))


def _build(request: Request, kinds: Sequence[SaveKind], films: Mapping[str, Film]) -> list[Output]:
    outputs: list[Output] = []
    try:
        for kind in kinds:
            outputs += (SAVINGS[kind].make(request, name) for name in SAVINGS[kind].names(request))
        outputs += [request.video(name, "h264", film.draw, x264=film.x264) for name, film in films.items()]
        # Last: a line in the table says that the frame is in the other files.
        outputs.append(FramesTable(request.folder / FRAMES_TABLE, request.labels))
    except BaseException:
        Outputs(outputs).abort()
        raise
    return outputs


def _checked_kinds(saving: SaveOptions) -> list[SaveKind]:
    """What is saved; SettingError for options that cannot be, or say nothing of it."""
    kinds, least = save_kinds(saving.save), saving.unknown_below
    if saving.ids not in ("train", "dataset"):
        raise SettingError(f"ids={saving.ids!r}", expected="train or dataset", do="choose one of these")
    if least is not None and not (isinstance(least, (int, float)) and 0 <= least <= 1):
        raise SettingError(f"unknown_below={least!r}", expected="a number from 0 to 1", do="correct the number")
    if saving.background is not None and not {"cutout", "cutouts"} & set(kinds):
        raise SettingError(
            f"background={saving.background!r} without a cut-out",
            expected="something to put before it",
            do="add cutout or cutouts to what is saved, or leave background= out",
        )
    return kinds


def refuse_results(root: Path) -> None:
    """SinkError where a run has left its results in a folder, which `open_sinks` would not replace: reported before
    anything takes long."""
    _refuse_existing([root / FRAMES_TABLE])


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
