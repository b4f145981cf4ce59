"""Videos of a session: uploaded, rendered (the synthetic street), or recorded from a camera or stream."""

from __future__ import annotations

import math
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from segtween.demo.kernels import PARTS as STREET
from segtween.errors import SegtweenError, SettingError, SinkError, SourceError
from segtween.interfaces import Source
from segtween.run.kernels import PARTS, SIZE_HW, Part, compiled_ahead, missing
from segtween.texttable import count
from segtween.types import Frame, SourceInfo
from segtween.ui.answers import Refusal
from segtween.ui.jobs import Job
from segtween.ui.sessions import VIDEOS, Session, Video
from segtween.video.encode import Clock, VideoWriter
from segtween.video.inputs import VIDEO_SUFFIXES, kind_of
from segtween.video.staging import sink_errors

TOO_LARGE, NO_VIDEO, NO_ROOM = 413, 415, 507
RESERVE_BYTES = 256 << 20
"""Room that an upload leaves on the disk, for the results."""
COMPILING = "compiling kernels, once; the next time they are on disk"
MOST_NAME_BYTES = 255
MOST_VIDEOS = 20
MOST_SECONDS = 120
"""The longest recording, and the longest drive through the street."""
STREET_SEED, STREET_RATE, STREET_HW = 7, Fraction(15), SIZE_HW
CONTAINERS = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |\x47.{187}\x47|....\x47.{191}\x47"
    rb"|\x00{2,3}\x01|\x1f\x07\x00|FLV|OggS|\x30\x26\xb2\x75|YUV4MPEG2|GIF8|DKIF|nut/multimedia|\x06\x0e\x2b\x34|\xff\xd8\xff",
    re.DOTALL,
)
"""How files begin that hold video themselves. Lists that name other files or addresses, which FFmpeg would open, begin
otherwise."""
HEAD_BYTES = 256


@dataclass(frozen=True)
class Upload:
    """A file that is to come: refused by its size and name before a byte of it is sent."""

    id: str
    name: str
    size: int

    @classmethod
    def of(cls, session: Session, values: dict[str, Any], *, most_bytes: int) -> Upload:
        """Checks what the page says of a file. Refusal: 413 too large, 415 no video, 507 no room for it."""
        name, size = values.get("name"), values.get("size")
        if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise SettingError("an upload without name or size", expected="both", do="reload the page")
        if size > most_bytes:
            raise Refusal(
                TOO_LARGE,
                f"{_printable(name)} has {gigabytes(size)}",
                expected=f"at most {gigabytes(most_bytes)}",
                do="cut it, or start the page with --max-upload",
            )
        suffix = Path(name).suffix.lower()
        if suffix not in VIDEO_SUFFIXES or size == 0:
            raise _no_video(name, "it is empty" if size == 0 else f"its name ends in {suffix!r}")
        check_room(session.folder, size)
        check_count(session)
        return cls(secrets.token_urlsafe(9), shown_name(name), size)

    async def store(self, parts: AsyncIterator[bytes], session: Session) -> Path:
        """Writes the bytes as they come, into the session's folder. Refusal where more come than were announced, or
        the disk is full; what was written is removed then, and where the sender goes away."""
        target = session.new_folder(VIDEOS) / "video"
        try:
            with sink_errors(target), target.open("wb") as file:
                head = b""
                async for part in parts:
                    if file.tell() + len(part) > self.size:
                        raise Refusal(
                            TOO_LARGE,
                            f"more bytes of {self.name} came than were announced",
                            expected=count(self.size, "byte"),
                            do="send it again with its size",
                        )
                    if len(head) < HEAD_BYTES:
                        head += part[:HEAD_BYTES]
                        if len(head) >= min(HEAD_BYTES, self.size) and not CONTAINERS.match(head):
                            raise _no_video(self.name, "it does not begin as one")
                    file.write(part)
                if file.tell() < self.size:
                    raise SourceError(f"{self.name} was cut off", expected=count(self.size, "byte"), do="send it again")
        except SinkError as error:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise no_room(error) from None
        except BaseException:
            shutil.rmtree(target.parent, ignore_errors=True)
            raise
        return target


def _no_video(name: str, why: str) -> Refusal:
    return Refusal(
        NO_VIDEO,
        f"{_printable(name)} is no video ({why})",
        expected="a video file (MP4, MKV, AVI, WebM, ...)",
        do="choose another",
    )


def _printable(name: str) -> str:
    """A name from elsewhere as it stands in a message."""
    return "".join(sign for sign in name[:80] if sign.isprintable())


def no_room(error: SinkError) -> Refusal:
    """An error of writing, without the path, which nobody chose."""
    return Refusal(NO_ROOM, "the disk is full or cannot be written", expected="room for it", do=error.do or "make room")


def gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB" if size >= 100 << 20 else f"{size / (1 << 20):.1f} MB"


def shown_name(name: str) -> str:
    """A name from elsewhere as a file name: to be shown and proposed, never a path here. It stays as it is where that
    can be a file's name, since commands that are shown hold it."""
    last = Path(re.split(r"[/\\]", re.sub(r"[\x00-\x1f\x7f:\ud800-\udfff]", "-", name))[-1])
    stem = last.stem.encode()[: MOST_NAME_BYTES - len(last.suffix)].decode(errors="ignore")
    return f"{stem}{last.suffix if last.suffix.lower() in VIDEO_SUFFIXES else '.mp4'}"


def as_argument(name: str) -> str:
    """A file of the current folder on a command line, where a name may not begin as an option does."""
    return f"./{name}" if name.startswith("-") else name


def check_room(folder: Path, size: int) -> None:
    """Refusal (507) where the disk has no room for so many bytes and the results."""
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE_BYTES:
        raise Refusal(
            NO_ROOM, f"the disk has {gigabytes(free)} left", expected=gigabytes(size + RESERVE_BYTES), do="make room"
        )


def check_count(session: Session) -> None:
    """Refusal (413) where the session has many videos."""
    if len(session.videos) >= MOST_VIDEOS:
        raise Refusal(TOO_LARGE, f"{MOST_VIDEOS} videos are here", expected="fewer", do="remove one of them first")


def look_into(path: Path, name: str, *, number: str | None = None) -> Video:
    """A file as a video: it is opened, and its first frame decoded. SourceError where that fails."""
    from segtween.video import open_source

    with named(path, name):
        source = open_source(path)
        try:
            info = source.info
            next(iter(source))
        finally:
            source.close()
    rate = None if info.frame_rate is None else float(info.frame_rate)
    return Video(number or secrets.token_urlsafe(9), name, path, info.size_hw, info.n_frames, rate)


@contextmanager
def named(path: Path, name: str) -> Iterator[None]:
    """Errors that speak of the file speak of its name."""
    try:
        yield
    except SegtweenError as error:
        parts = [part.replace(str(path), name) for part in (error.got, error.expected, error.do)]
        raise type(error)(parts[0], expected=parts[1], do=parts[2]) from None


class NamedFile:
    """A source of a file that is called by its shown name."""

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self.info: SourceInfo = replace(source.info, name=Path(name).stem, path=name)

    def close(self) -> None:
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._source)


def open_video(video: Video) -> Source:
    from segtween.video import open_source

    with named(video.path, video.name):
        return NamedFile(open_source(video.path, threads=0), video.name)


def seconds_of(value: Any) -> float:
    """How long a recording or drive is to be; SettingError for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MOST_SECONDS:
        raise SettingError(f"{value!r} seconds", expected=f"more than 0, at most {MOST_SECONDS}", do="correct them")
    return float(value)


def address_of(value: Any) -> str:
    """A camera or the address of a stream; SettingError for anything else, such as a file of this machine."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or kind_of(text) not in ("camera", "stream"):
        raise SettingError(
            f"address {text!r}", expected="camera:0 or a stream's address, as rtsp://...", do="correct the address"
        )
    return text


@contextmanager
def compiled(job: Job, stage: str, parts: Mapping[str, Part] = PARTS) -> Iterator[None]:
    """A stage of a job that needs compiled loops: those that are not on disk yet are made, while the body runs."""
    absent = missing(parts)
    job.begin(COMPILING if absent else stage)
    with compiled_ahead(absent, progress=lambda *_: job.check()):
        yield


def render_street(session: Session, seconds: float, job: Job) -> dict[str, Any]:
    """A drive through the synthetic street as a video of the session."""
    from segtween.street import StreetClip

    with compiled(job, "rendering the street", STREET):
        pass
    job.begin("rendering the street")
    frames = max(2, math.ceil(seconds * STREET_RATE))
    clip = StreetClip(STREET_SEED, size_hw=STREET_HW, frame_rate=STREET_RATE, frames=frames)
    pictures = (Frame(one.index, one.pts_seconds, one.rgb) for one in clip)
    return _record(session, job, pictures, Clock(1 / STREET_RATE, STREET_RATE), name="street.mp4", total=frames)


def record(session: Session, address: str, seconds: float, job: Job) -> dict[str, Any]:
    """So many seconds of a camera or stream as a video of the session."""
    from segtween.video import open_source

    job.begin(f"opening {address}")
    source = open_source(address, duration_seconds=seconds)
    try:
        job.begin(f"recording {address}")
        rate = source.info.frame_rate
        name = f"{source.info.name}.mp4"
        total = None if rate is None else math.ceil(seconds * rate)
        return _record(session, job, iter(source), Clock.of(source.info), name=name, total=total)
    finally:
        source.close()


def _record(
    session: Session, job: Job, frames: Iterator[Frame], clock: Clock, *, name: str, total: int | None
) -> dict[str, Any]:
    """Writes frames into a video of the session; after an error before the first frame, and after a cancelled job,
    there is none. `note`: why there are fewer than were asked for."""
    folder = session.new_folder(VIDEOS)
    writer = VideoWriter(folder / "video", codec="h264", clock=clock, threads=0, x264={"crf": "12"})
    try:
        note = _write_all(writer, frames, job, total)
        writer.close()
        video = look_into(folder / "video", shown_name(name))
    except BaseException:
        writer.abort()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    session.videos[video.id] = video
    return {**video.to_json(), "note": note}


def _write_all(writer: VideoWriter, frames: Iterator[Frame], job: Job, total: int | None) -> str | None:
    """Writes the frames; why they broke off, if they did after the first."""
    done = 0
    try:
        for done, frame in enumerate(frames, start=1):
            writer.write(frame.rgb, frame.pts_seconds)
            job.progress(done, total)
    except SourceError as error:
        if not done:
            raise
        return str(error)
    return None
