"""Opening containers: files, standard input, network streams, cameras."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from segtween.errors import SourceError
from segtween.video.container import Opened
from segtween.video.inputs import camera_number, clip_name, local_path, missing

TIMEOUT_SECONDS = 10.0


def open_file(spec: str, *, name: str | None = None) -> Opened:
    path = Path(local_path(spec))
    if not path.exists():
        raise missing(spec)
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{spec} is empty", expected="a video file", do="check the file")
    container = _open(str(path), spec)
    return Opened(
        container, spec, name or clip_name(spec), "file", audio_path=str(path) if container.streams.audio else None
    )


def open_stdin(spec: str = "-", *, name: str | None = None) -> Opened:
    """Standard input: any container that can be read without seeking, or raw y4m."""
    stdin = getattr(sys.stdin, "buffer", None)
    if stdin is None or stdin.closed or stdin.isatty():
        raise SourceError(
            "standard input is not a video", expected="a video piped in", do="write: cat video.mkv | segtween run -"
        )
    # Read below its buffer, whose lock a thread may hold when the program ends.
    return Opened(_open(_Pipe(getattr(stdin, "raw", stdin)), "standard input"), "-", name or clip_name(spec), "stdin")


def open_stream(spec: str, *, name: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Opened:
    """A network stream; live unless its container has a length. SourceError after `timeout_seconds` of silence."""
    options = {"rtsp_transport": "tcp"} if spec.lower().startswith("rtsp") else {}
    container = _open(spec, spec, options=options, timeout=timeout_seconds)
    live = not container.duration
    return Opened(container, spec, name or clip_name(spec), "stream", live=live, timeout_seconds=timeout_seconds)


def open_camera(spec: str, *, name: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Opened:
    """Camera N: /dev/videoN on Linux (v4l2), the N-th device of AVFoundation on macOS."""
    number = camera_number(spec)
    if sys.platform == "darwin":
        device, form = str(number), "avfoundation"
    elif sys.platform.startswith("linux"):
        device, form = f"/dev/video{number}", "v4l2"
        if not Path(device).exists():
            raise _no_camera(number, f"there is no {device}")
    else:
        raise _no_camera(number, "cameras are read on Linux and macOS only")
    options = {"framerate": "30"} if form == "avfoundation" else {}
    try:
        container = _open(device, spec, options=options, form=form, timeout=timeout_seconds)
    except SourceError as error:
        raise _no_camera(number, error.got) from None
    return Opened(container, spec, name or clip_name(spec), "camera", live=True, timeout_seconds=timeout_seconds)


def _no_camera(number: int, why: str) -> SourceError:
    numbers = sorted(p.name.removeprefix("video") for p in Path("/dev").glob("video[0-9]*"))
    found = f"one of camera:{', camera:'.join(numbers)}" if numbers else "a camera (none is connected)"
    return SourceError(f"camera {number} cannot be opened ({why})", expected=found, do="connect it or give a file")


def _open(
    target: Any,
    spec: str,
    *,
    options: dict[str, str] | None = None,
    form: str | None = None,
    timeout: float | None = None,
) -> Any:
    import av

    try:
        return av.open(target, "r", format=form, options=options or {}, timeout=timeout, metadata_errors="replace")
    except av.InvalidDataError:
        raise SourceError(
            f"{spec} is not a video that FFmpeg can read, or is cut off",
            expected="a whole video file (MP4, MKV, AVI, WebM, ...)",
            do="check that it plays elsewhere",
        ) from None
    except (av.error.ExitError, TimeoutError):
        raise SourceError(
            f"{spec} gave no answer for {timeout or 0:g} s",
            expected="a stream that is being sent",
            do="check the address",
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{spec} cannot be opened ({why})", expected="a readable video", do="check it") from None


class _Pipe:
    """What PyAV needs of a stream that cannot seek: whatever bytes are there, at once."""

    def __init__(self, stream: Any) -> None:
        self._read = getattr(stream, "read1", stream.read)

    def read(self, size: int) -> bytes:
        return bytes(self._read(size))
