"""Label images that come from outside: PNG files, a zip file of them, or an export of an annotation tool.

Names from the browser say which frame a file belongs to, and its form; what is written has a name of ours.
"""

from __future__ import annotations

import io
import shutil
import struct
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from segtween.datasets.annotations import CVAT_XML, ZIP_FAULTS
from segtween.datasets.labelled import LABEL_MAP, OWN_SET, LabelledFrames, frame_number, open_labelled
from segtween.errors import DatasetError, LabelError
from segtween.masks.png import SIGNATURE
from segtween.texttable import count
from segtween.types import SizeHW, format_size
from segtween.ui.labelling import Labelling
from segtween.ui.videos import named
from segtween.video.staging import sink_errors

MOST_BYTES = 256 << 20
"""Of one file, as it is sent, and of what a zip file holds unpacked."""
EXPORTS = (".zip", ".json", ".xml")


def take_file(labelling: Labelling, name: str, data: bytes) -> list[int]:
    """The frames whose labels the file `name` holds; they are saved, in place of those that were.

    Raises LabelError or DatasetError for what `open_labelled` refuses; nothing of the file is saved then.
    """
    with sink_errors(labelling.folder):
        incoming = Path(tempfile.mkdtemp(prefix="incoming-", dir=labelling.folder))
    try:
        with named(incoming, name), named(_single(incoming, name), name):
            found = _opened(labelling, name, data, incoming)
            labels = {frame: found.read(frame) for frame in found.files}
        for frame, values in labels.items():
            labelling.write(frame, values)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return list(labels)


def _opened(labelling: Labelling, name: str, data: bytes, incoming: Path) -> LabelledFrames:
    size_hw, frames = labelling.video.size_hw, labelling.frames
    label_set = labelling.folder / "saved" / OWN_SET
    suffix = PurePosixPath(name).suffix.lower()
    pngs = _plain_members(name, data) if suffix == ".zip" else [(name, data)] if _is_png(name) else None
    with sink_errors(incoming):
        if pngs is None:
            if suffix not in EXPORTS:
                raise LabelError(
                    f"file {name}",
                    expected="a PNG file named by the number of its frame, a zip file of them, or an export (.zip, "
                    ".json, .xml)",
                    do="choose another file",
                )
            export = incoming / f"labels{suffix}"
            export.write_bytes(data)
            with named(export, name):
                return open_labelled(export, size_hw=size_hw, frames=frames, labels=label_set)
        for own_name, content in pngs:
            index = frame_number(PurePosixPath(own_name).name)
            if index is None:
                raise LabelError(
                    f"label file {own_name} belongs to no frame",
                    expected=f"the number of one of the {count(frames, 'frame')}, from 0, as in frame_000012.png",
                    do="rename it",
                )
            check_png(own_name, content, size_hw)
            path = incoming / f"{index:06d}.png"
            if path.exists():
                raise LabelError(f"{name} holds frame {index} twice", expected="one file of it", do="remove one")
            path.write_bytes(content)
    return open_labelled(incoming, size_hw=size_hw, frames=frames, labels=label_set)


def _single(incoming: Path, name: str) -> Path:
    """Where a label image that came by itself lies."""
    return incoming / f"{frame_number(PurePosixPath(name).name) or 0:06d}.png" if _is_png(name) else incoming


def _is_png(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() == ".png"


def check_png(name: str, content: bytes, size_hw: SizeHW) -> None:
    """Raises LabelError for another size than the frames', before anything is decoded; DatasetError for no PNG."""
    if content[:8] != SIGNATURE or len(content) < 24:
        raise DatasetError(f"label file {name} is no PNG", expected="a whole PNG file", do="save it as PNG")
    width, height = struct.unpack(">II", content[16:24])
    if (height, width) != size_hw:
        raise LabelError(
            f"label file {name} is {format_size((height, width))}",
            expected=f"{format_size(size_hw)} (width x height), the size of the frames",
            do="save the labels at the frames' own size",
        )


def _plain_members(name: str, data: bytes) -> list[tuple[str, bytes]] | None:
    """The PNG files of a zip file by name; None if it is an annotation tool's export."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = [one for one in file.infolist() if not one.is_dir()]
            if sum(one.file_size for one in members) > MOST_BYTES:
                raise LabelError(f"{name} holds too much", expected=f"{MOST_BYTES >> 20} MB at most", do="take fewer")
            if {LABEL_MAP, CVAT_XML} & {one.filename for one in members}:
                return None
            paths = [(one, PurePosixPath(one.filename)) for one in members]
            pngs = [one for one, path in paths if _is_png(one.filename) and not path.name.startswith(".")]
            return [(one.filename, file.read(one)) for one in pngs]
    except ZIP_FAULTS as error:
        raise DatasetError(
            f"{name} cannot be read ({error})", expected="a whole zip file", do="pack it again"
        ) from None
