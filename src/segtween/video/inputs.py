"""What an input given by a person stands for: a file, a folder, a glob, a camera, a stream, standard input."""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Literal

from segtween.errors import SettingError, SourceError, os_errors
from segtween.texttable import natural_key

SourceKind = Literal["stdin", "camera", "stream", "images", "file"]

IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm"))
VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv",
        ".3gp", ".3g2", ".ogv", ".y4m", ".vob", ".mxf", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".nut",
        ".mjpeg", ".mjpg", ".gif", ".asf", ".dv",
    )
)  # fmt: skip
STREAM_SCHEMES = (
    "rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt", "mms", "mmsh", "ftp",
)  # fmt: skip

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_CAMERA = re.compile(r"^camera:(.*)$", re.IGNORECASE)


def kind_of(spec: str) -> SourceKind:
    """Which kind of source `spec` names; it may still not exist."""
    if spec == "-":
        return "stdin"
    if _CAMERA.match(spec) or (spec.isdigit() and not Path(spec).exists()):
        return "camera"
    scheme = _SCHEME.match(spec)
    if scheme and scheme[1].lower() != "file":
        if scheme[1].lower() not in STREAM_SCHEMES:
            raise SourceError(
                f"input {spec!r} has the scheme {scheme[1]!r}",
                expected=f"a file, a folder, or one of {', '.join(s + '://' for s in STREAM_SCHEMES)}",
                do="correct the address",
            )
        return "stream"
    path = Path(local_path(spec))
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES or (_is_glob(spec) and not path.exists()):
        return "images"
    return "file"


def local_path(spec: str) -> str:
    """`spec` without a leading file://."""
    return spec[len("file://") :] if spec.lower().startswith("file://") else spec


def camera_number(spec: str) -> int:
    """0 for `camera:0` and `0`."""
    match = _CAMERA.match(spec)
    text = match[1] if match else spec
    if not text.isdigit():
        raise SourceError(f"camera {text!r}", expected="a camera number, as in camera:0", do="give its number")
    return int(text)


def clip_name(spec: str) -> str:
    """A name for the input that is fit to be a folder name."""
    try:
        kind = kind_of(spec)
    except SourceError:
        return safe_name(spec)
    if kind == "stdin":
        return "stdin"
    if kind == "camera":
        return safe_name(spec if ":" in spec else f"camera-{spec}")
    if kind == "stream":
        return safe_name(_SCHEME.sub("", spec).split("?")[0].rsplit("@", 1)[-1])
    path = Path(local_path(spec))
    if _is_glob(spec) and not path.exists():
        fixed = [p for p in path.parts[:-1] if not _is_glob(p)]
        return safe_name(Path(*fixed).resolve().name if fixed else Path.cwd().name)
    if path.is_dir():
        return safe_name(path.resolve().name or "root")
    return safe_name(path.stem)


def image_files(spec: str) -> list[Path]:
    """The images of a folder, a glob or one image file, in natural order; SourceError where there are none."""
    if isinstance(spec, ImageList):
        return sorted(set(spec.files), key=natural_key)
    path = Path(local_path(spec))
    if path.is_dir():
        found = _with_suffix(_children(path), IMAGE_SUFFIXES)
        what = f"folder {path}"
    elif path.exists() or not _is_glob(spec):
        if not path.is_file():
            raise missing(spec)
        return [path]
    else:
        found = _with_suffix(_expand(spec), IMAGE_SUFFIXES)
        what = f"pattern {spec!r}"
    if not found:
        raise SourceError(
            f"{what} holds no images or videos",
            expected="PNG, JPEG, BMP, TIFF, WebP or PPM images, or video files",
            do="check the path",
        )
    return sorted(found, key=natural_key)


def split_clips(spec: str) -> list[str]:
    """The clips that one input stands for: the videos of a folder or glob, else `spec` itself.

    A folder counts as its videos where it holds any, as one clip of its images otherwise. Raises SourceError for an
    empty name, as a shell makes it of a variable that is not set: it is not the current folder.
    """
    if not spec:
        raise SourceError(
            "an input without a name", expected="a video, folder or stream", do="name it; . is this folder"
        )
    if kind_of(spec) != "images" or isinstance(spec, ImageList):
        return [spec]
    path = Path(local_path(spec))
    if path.is_dir():
        videos = _with_suffix(_children(path), VIDEO_SUFFIXES)
    elif path.exists():
        videos = []
    else:
        videos = _with_suffix(_expand(spec), VIDEO_SUFFIXES)
    return [str(p) for p in sorted(videos, key=natural_key)] or [spec]


class ImageList(str):
    """The name of a folder that stands for some of its images only: those in `files`."""

    files: tuple[Path, ...]

    def __new__(cls, files: Iterable[Path]) -> ImageList:
        chosen = tuple(files)
        self = super().__new__(cls, str(chosen[0].parent))
        self.files = chosen
        return self


def gather_images(specs: Iterable[str]) -> list[str]:
    """The inputs; two or more image files of one folder become one ImageList at the place of the first."""
    gathered: list[str | list[Path]] = []
    folders: dict[Path, list[Path]] = {}
    for spec in specs:
        path = Path(local_path(spec))
        if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            gathered.append(spec)
        elif path.parent in folders:
            folders[path.parent].append(path)
        else:
            folders[path.parent] = [path]
            gathered.append(folders[path.parent])
    return [g if isinstance(g, str) else str(g[0]) if len(g) == 1 else ImageList(g) for g in gathered]


def unique_names(names: Iterable[str]) -> list[str]:
    """The names with -2, -3, ... where one would come again; case does not make a difference."""
    used: set[str] = set()
    unique = []
    for name in names:
        candidate, n = name, 1
        while candidate.lower() in used:
            n += 1
            candidate = f"{name}-{n}"
        used.add(candidate.lower())
        unique.append(candidate)
    return unique


def missing(spec: str) -> SourceError:
    return SourceError(
        f"input {spec!r} does not exist",
        expected="a video file, a folder or pattern of images, camera:0, a stream's address, or - for standard input",
        do="check the path",
    )


def as_frame_rate(value: Fraction | float | str) -> Fraction:
    """Frames per second as an exact fraction: 29.97 is 30000/1001, 25 is 25, "24000/1001" is itself."""
    try:
        rate = Fraction(value) if not isinstance(value, float) else Fraction(str(value))
    except (ValueError, ZeroDivisionError, OverflowError):
        rate = Fraction(0)
    if rate <= 0 or rate > 100_000:
        raise SettingError(
            f"frame rate {value}", expected="a number of frames per second above 0", do="correct frame_rate"
        )
    ntsc = Fraction(math.ceil(rate) * 1000, 1001)
    return ntsc if rate.denominator > 1 and abs(rate - ntsc) < Fraction(1, 100) else rate


def as_seconds(value: Fraction | float, *, name: str, above_zero: bool = False) -> Fraction:
    """A time given by a person as a fraction: 0.2 is 1/5. SettingError if negative (or 0, with `above_zero`)."""
    if not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        raise SettingError(
            f"{name}={value}",
            expected="seconds above 0" if above_zero else "seconds, 0 or more",
            do=f"correct {name}",
        )
    return Fraction(value).limit_denominator(1_000_000)


def as_part(start_seconds: float, duration_seconds: float | None) -> tuple[Fraction, Fraction | None]:
    """Start and end of a part, None for the end of the whole; SettingError as `as_seconds`."""
    start = as_seconds(start_seconds, name="start_seconds")
    if duration_seconds is None:
        return start, None
    return start, start + as_seconds(duration_seconds, name="duration_seconds", above_zero=True)


def _is_glob(spec: str) -> bool:
    return any(c in spec for c in "*?[")


def _expand(spec: str) -> list[Path]:
    return [Path(p) for p in glob.glob(local_path(spec), recursive=True)]


def _children(folder: Path) -> list[Path]:
    got = f"folder {folder} cannot be read"
    with os_errors(SourceError, got, expected="a folder you may read", do="check its rights"):
        return list(folder.iterdir())


def _with_suffix(paths: Iterable[Path], suffixes: frozenset[str]) -> list[Path]:
    return [p for p in paths if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()]


def safe_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-. ") or "clip"
