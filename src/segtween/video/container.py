"""Anything FFmpeg reads as a source: files, standard input, streams, cameras."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from segtween.errors import SourceError
from segtween.texttable import count
from segtween.types import Frame, SizeHW, SourceInfo, format_size
from segtween.video.inputs import as_frame_rate, as_part
from segtween.video.pictures import ToRgb, display_matrix
from segtween.video.vectors import VectorReader

# Where timestamps after a seek are those of the whole file; elsewhere the frames before are decoded and dropped.
_SEEKABLE = ("mov", "matroska", "mpegts")


@dataclass(frozen=True)
class Opened:
    """An open container and what is known from the way it was opened."""

    container: Any
    spec: str
    name: str
    kind: str
    live: bool = False
    audio_path: str | None = None
    timeout_seconds: float | None = None


class ContainerSource:
    """The first proper video stream of an open container.

    `pts_seconds` is the stream's own timestamp minus the stream's start, exact in its time base, also
    where only a part is read. A frame without a timestamp, or with one not above that of the frame
    before, gets that of the frame before plus 1 / frame rate. The part is the frames with
    start <= pts < start + duration, found by decoding from the key frame before.

    Frames are upright (display matrix applied) and in the stored pixel grid (a sample aspect ratio is
    not applied). At the first damage of a file the frames before it have been given and SourceError
    is raised; a live stream goes on over lost packets. SourceError also where frames change size.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        start_seconds: float = 0,
        duration_seconds: float | None = None,
        threads: int = 1,
        frame_rate: Fraction | float | str | None = None,
        motion_vectors: bool = False,
    ) -> None:
        self._opened, self._container = opened, opened.container
        self._start, self._end = as_part(start_seconds, duration_seconds)
        self._to_rgb = ToRgb(threads=threads)
        self._count, self._last_ticks = 0, -1
        self._last_dts: int | None = None
        self._stream = _video_stream(self._container, opened)
        self._stream.thread_count = threads
        self._stream.thread_type = "AUTO"
        self._vectors = VectorReader(self._stream) if motion_vectors else None
        self._time_base: Fraction = self._stream.time_base or Fraction(1, 90_000)
        self._rate = _rate(self._stream) if frame_rate is None else as_frame_rate(frame_rate)
        self._base: int | None = self._stream.start_time
        self._waiting: Any = None
        self._early = True
        self._pictures = self._seek_and_decode()
        self.info = self._describe()

    def close(self) -> None:
        self._waiting = None
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        while self._waiting is not None:
            ticks, picture = self._waiting
            rgb = self._convert(picture)
            if rgb.shape[:2] != self.info.size_hw:
                raise SourceError(
                    f"frame {self._count} of {self._opened.spec} is {format_size((rgb.shape[0], rgb.shape[1]))}",
                    expected=f"{format_size(self.info.size_hw)} like the frames before it",
                    do="the frames before are kept; convert the video to one size",
                )
            vectors = None if self._vectors is None else self._vectors(picture)
            frame = Frame(self._count, ticks * self._time_base, rgb, vectors)
            self._count += 1
            yield frame
            if self._waiting is not None:  # not closed meanwhile
                self._waiting = next(self._pictures, None)

    def _convert(self, picture: Any) -> Any:
        import av

        try:
            return self._to_rgb(picture)
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(
                f"{self._opened.spec} has the pixel format {picture.format.name} ({error})",
                expected="a pixel format that FFmpeg converts to RGB",
                do="convert the video, for example to yuv420p",
            ) from None

    def _describe(self) -> SourceInfo:
        if self._waiting is None:
            self._container.close()
            raise self._no_frames()
        picture = self._waiting[1]
        return SourceInfo(
            name=self._opened.name,
            path=self._opened.spec,
            size_hw=_upright_size(picture),
            frame_rate=self._rate,
            n_frames=self._expected_frames(),
            live=self._opened.live,
            audio_path=self._opened.audio_path,
            time_base=self._time_base,
            end_seconds=self._end,
        )

    def _no_frames(self) -> SourceError:
        if self._start > 0 and self._last_dts is not None:
            return SourceError(
                f"{self._opened.spec} holds no frame from {float(self._start):g} s on",
                expected="a start before its end",
                do="lower start_seconds",
            )
        return SourceError(
            f"{self._opened.spec} holds no frames", expected="a video with at least one frame", do="check the file"
        )

    def _expected_frames(self) -> int | None:
        if self._opened.live or self._opened.kind == "stdin":
            return None
        seconds = _duration(self._container, self._stream)
        if self._start == 0 and self._end is None and self._stream.frames > 0:
            return int(self._stream.frames)
        if seconds is None or self._rate is None:
            return None
        end = seconds if self._end is None else min(seconds, self._end)
        return max(1, round((end - self._start) * self._rate))

    def _seek_and_decode(self) -> Iterator[tuple[int, Any]]:
        """The wanted pictures; the first of them is already in `_waiting`."""
        tries = [self._start - back for back in (0, 2, 10) if self._start > back] if self._seekable() else []
        for seconds in tries:
            if not self._seek(seconds):
                break
            pictures = self._wanted()
            self._waiting = next(pictures, None)
            if self._early:
                return pictures
        if tries:
            self._seek(Fraction(-10))  # not 0: MPEG-TS seeks by decoding times, which lie before
        pictures = self._wanted()
        self._waiting = next(pictures, None)
        return pictures

    def _seekable(self) -> bool:
        seekable = self._opened.kind == "file" and self._container.format.name.startswith(_SEEKABLE)
        return seekable and self._base is not None

    def _seek(self, seconds: Fraction) -> bool:
        """To the key frame before `seconds`; False where the container stays where it is."""
        import av

        target = (self._base or 0) + math.floor(seconds / self._time_base)
        try:
            self._container.seek(target, stream=self._stream, backward=True)
        except (av.FFmpegError, OSError):
            return False
        self._last_ticks, self._last_dts, self._waiting = -1, None, None
        return True

    def _wanted(self) -> Iterator[tuple[int, Any]]:
        """(ticks since the stream's start, picture) of the wanted part, in order, up to the end or the damage."""
        start, end = self._start / self._time_base, self._end and self._end / self._time_base
        self._early = start == 0
        for picture in self._decoded():
            ticks = self._ticks(picture)
            if ticks < start:
                self._early = True  # the seek landed early enough
                continue
            self._early = self._early or ticks == start
            if end is not None and ticks >= end:
                return
            if picture.is_corrupt and not self._opened.live:
                if self._count == 0 and self._waiting is None and self._container.format.name == "mpegts":
                    continue  # a recording that begins between key frames
                raise self._damaged("a picture cannot be decoded")
            yield ticks, picture

    def _ticks(self, picture: Any) -> int:
        step = 1 if self._rate is None else max(1, round(1 / (self._rate * self._time_base)))
        if picture.pts is None:
            ticks = self._last_ticks + step if self._last_ticks >= 0 else 0
        else:
            if self._base is None or (self._last_ticks < 0 and picture.pts < self._base):
                self._base = picture.pts
            ticks = picture.pts - self._base
        if ticks <= self._last_ticks:
            ticks = self._last_ticks + step
        self._last_ticks = ticks
        return ticks

    def _decoded(self) -> Iterator[Any]:
        """Every picture the decoder gives; SourceError at the damage, after the pictures before it."""
        import av

        packets, packet, any_yet = self._container.demux(self._stream), None, False
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.is_corrupt and self._container.format.name != "mpegts" and not self._opened.live:
                    raise av.InvalidDataError(0, "it is cut off")
                self._last_dts = packet.dts if packet.dts is not None else self._last_dts
                pictures = packet.decode()
            except av.InvalidDataError as error:
                if self._opened.live or (not any_yet and self._container.format.name == "mpegts"):
                    continue
                yield from self._pending(packet)
                raise self._damaged(error.strerror) from None
            except (av.FFmpegError, OSError) as error:
                raise self._broken_off(error) from None
            any_yet = any_yet or bool(pictures)
            yield from pictures
        if self._ended_early():
            raise self._damaged("it ends early, as a file that was cut off")

    def _pending(self, lost: Any) -> list[Any]:
        """The pictures that the decoder still holds and that are shown before the lost packet's."""
        import av

        try:
            pictures = self._stream.decode(None)
        except av.FFmpegError:
            return []
        limit = None if lost is None else lost.pts
        return [p for p in pictures if not p.is_corrupt and (limit is None or (p.pts is not None and p.pts < limit))]

    def _ended_early(self) -> bool:
        """Whether the container promised more than came: its index (MP4, MOV) or its DURATION tag (Matroska)."""
        if self._opened.live or self._last_dts is None:
            return False
        if self._container.format.name.startswith("mov"):
            entries: Any = getattr(self._stream, "index_entries", ())
            return len(entries) > 0 and self._last_dts < entries[-1].timestamp
        promised = _tag_seconds(self._stream.metadata.get("DURATION"))
        if promised is None or self._last_ticks < 0:
            return False
        frame = 1 / self._rate if self._rate else Fraction(1, 10)
        reached = (self._last_ticks + (self._base or 0)) * self._time_base
        return reached + 3 * frame + Fraction(1, 20) < promised

    def _damaged(self, why: str) -> SourceError:
        spec = self._opened.spec
        if self._count == 0:
            return SourceError(
                f"{spec} is damaged at its first frame ({why})", expected="a whole video", do="get a whole copy of it"
            )
        return SourceError(
            f"{spec} is damaged {self._place()} ({why})",
            expected="a whole video",
            do="the frames before the damage are kept; get a whole copy of it for the rest",
        )

    def _place(self) -> str:
        """How far it was read."""
        seconds = float(max(self._last_ticks, 0) * self._time_base)
        return f"after {count(self._count, 'frame')}, at about {seconds:.2f} s"

    def _broken_off(self, error: Exception) -> SourceError:
        import av

        opened, why = self._opened, getattr(error, "strerror", None) or str(error)
        if isinstance(error, (av.error.ExitError, TimeoutError)):
            got = f"{opened.spec} gave nothing for {opened.timeout_seconds:g} s"
        elif opened.kind == "stream":
            got = f"{opened.spec} broke off {self._place()} ({why})"
        else:
            return self._damaged(why)
        return SourceError(
            got, expected="a stream that goes on", do="the frames so far are kept; check the sender and the network"
        )


def _video_stream(container: Any, opened: Opened) -> Any:
    from av.stream import Disposition

    proper = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if container.format.name == "tty" or not proper:
        kinds = sorted({s.type for s in container.streams if s not in container.streams.video}) or ["nothing"]
        container.close()
        found = "text" if container.format.name == "tty" else f"{' and '.join(kinds)} only"
        raise SourceError(f"{opened.spec} holds {found}", expected="a video with pictures", do="check the file")
    if proper[0].codec_context is None:
        container.close()
        raise SourceError(
            f"{opened.spec} is coded in a way that this FFmpeg has no decoder for",
            expected="a codec such as H.264, HEVC, VP9, AV1, MPEG-4 or MJPEG",
            do="convert the video",
        )
    return proper[0]


def _rate(stream: Any) -> Fraction | None:
    """Of DV FFmpeg gives the rate of its clock as the average."""
    average, guessed = stream.average_rate, stream.guessed_rate
    is_clock = average and guessed and average * stream.time_base == 1
    rate = guessed if is_clock else average or guessed or stream.base_rate
    return Fraction(rate) if rate else None


def _duration(container: Any, stream: Any) -> Fraction | None:
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    tag = _tag_seconds(stream.metadata.get("DURATION"))
    return tag if tag is not None or not container.duration else Fraction(container.duration, 1_000_000)


def _tag_seconds(tag: str | None) -> Fraction | None:
    """Seconds of a Matroska DURATION tag, `00:00:02.400000000`."""
    try:
        hours, minutes, seconds = (tag or "").split(":")
        return Fraction(hours) * 3600 + Fraction(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None


def _upright_size(picture: Any) -> SizeHW:
    matrix = display_matrix(picture)
    turned = matrix is not None and abs(matrix[1]) + abs(matrix[2]) > abs(matrix[0]) + abs(matrix[3])
    return (picture.width, picture.height) if turned else (picture.height, picture.width)
