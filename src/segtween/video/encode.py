"""One video file, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SinkError
from segtween.types import SourceInfo
from segtween.video.sound import Notice, Sound
from segtween.video.staging import Staged, is_about_storage, sink_errors

Codec = Literal["h264", "ffv1", "vp9"]

# ultrafast, of x264's presets: at 1280x720 about 9 ms of one core per frame, where superfast takes
# 17 ms for two thirds of the size; it also holds no frames back, so memory stays the same.
_H264 = {"preset": "ultrafast", "crf": "20"}
_FFV1 = {"slices": "4", "slicecrc": "1"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0", "row-mt": "1", "auto-alt-ref": "0"}
_BT709, _LIMITED = 1, 1
_CONTAINERS: dict[Codec, str] = {"h264": "mp4", "ffv1": "matroska", "vp9": "webm"}
_ENCODERS: dict[Codec, tuple[str, str]] = {
    "h264": ("libx264", "yuv420p"),
    "ffv1": ("ffv1", "gray"),
    "vp9": ("libvpx-vp9", "yuva420p"),
}
MOST_SOUND_ERRORS = 50
"""So many packets of a broken sound track may be found among those that FFmpeg holds back."""


@dataclass(frozen=True)
class Clock:
    """The unit of a video's timestamps (seconds) and its frame rate, None where it has none."""

    time_base: Fraction
    frame_rate: Fraction | None

    @classmethod
    def of(cls, info: SourceInfo) -> Clock:
        """The source's own unit; without one, that of its frame rate; without both, 1/90000 s."""
        base = info.time_base or (1 / info.frame_rate if info.frame_rate else Fraction(1, 90_000))
        return cls(base, info.frame_rate)


class VideoWriter:
    """Pictures and their times -> one file, under its final name after `close`.

    `h264` takes (H, W, 3) RGB and writes yuv420p (BT.709, limited range, tagged) in MP4 with the index
    in front; an odd width or height is made even by repeating the last column or row. `ffv1` takes
    (H, W) uint8 and writes it exactly, as gray8 in Matroska. `vp9` takes (H, W, 4) RGBA and writes yuva420p (BT.709,
    limited range) in WebM. The first picture is at time 0 and the others keep their distance to it: exactly in MP4, to
    the millisecond in Matroska and WebM, which have no finer clock. `x264` are further options of that encoder.
    SinkError where it cannot be written.
    """

    def __init__(
        self,
        target: Path,
        *,
        codec: Codec,
        clock: Clock,
        threads: int = 1,
        audio_path: str | None = None,
        end_seconds: Fraction | None = None,
        notice: Notice | None = None,
        x264: Mapping[str, str] | None = None,
    ) -> None:
        self.staged, self._codec, self._clock, self._threads = Staged(target), codec, clock, threads
        self._audio_path, self._end = (audio_path if codec == "h264" else None), end_seconds
        self._notice = notice or (lambda _: None)
        self._x264 = dict(x264 or {})
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._sound_errors = 0
        self._first = Fraction(0)
        self._ticks = -1
        self._done = self._broken = False

    def write(self, picture: NDArray[np.uint8], pts_seconds: Fraction) -> None:
        with sink_errors(self.staged.target):
            try:
                if self._container is None:
                    self._begin((picture.shape[0], picture.shape[1]), pts_seconds)
                self._ticks = max(self._ticks + 1, round((pts_seconds - self._first) / self._clock.time_base))
                if self._sound is not None:
                    self._sound.write_until(self._ticks * self._clock.time_base)
                self._mux(self._stream.encode(self._frame(picture)))
            except Exception:
                self._broken = True
                raise

    def close(self) -> None:
        """Finishes the file. With no picture written there is none."""
        self._finish(to_the_end=True)

    def abort(self) -> None:
        """As `close`, the sound cut where the pictures end; a file in which a picture is missing is removed."""
        self._finish(to_the_end=False)

    def _finish(self, *, to_the_end: bool) -> None:
        if self._done:
            return
        self._done = True
        try:
            with sink_errors(self.staged.target):
                self._end_streams(to_the_end)
        except SinkError:
            if not self._broken:  # else what broke it has been raised
                raise
        else:
            if self._container is not None and not self._broken:
                self.staged.commit()
        finally:
            if not self.staged.committed:
                self.staged.discard()

    def _end_streams(self, to_the_end: bool) -> None:
        if self._container is None:
            return
        try:
            if not self._broken:
                self._mux(self._stream.encode(None))
                if self._sound is not None:
                    after = (self._ticks + self._step()) * self._clock.time_base
                    self._sound.finish(None if to_the_end and self._end is None else after)
        finally:
            if self._sound is not None:
                self._sound.close()
            self._container.close()

    def _mux(self, packets: list[Any]) -> None:
        """Writes pictures. FFmpeg holds packets back to put them in order of time, so an error may be that of a sound
        packet that waited: it is gone then and the picture is not, and the sound ends."""
        import av

        for packet in packets:
            try:
                self._container.mux(packet)
            except av.FFmpegError as error:
                self._sound_errors += 1
                if self._sound is None or is_about_storage(error) or self._sound_errors > MOST_SOUND_ERRORS:
                    raise
                if self._sound_errors == 1:
                    self._sound.stop()
                    at = max(0.0, float(self._ticks * self._clock.time_base))
                    self._notice(f"the sound is left out of the videos from {at:.1f} s on: {error}")

    def _begin(self, size_hw: tuple[int, int], first: Fraction) -> None:
        self._first = first
        self._sound = None if self._audio_path is None else self._open_sound(self._audio_path)
        if self._sound is not None:
            try:
                self._open(size_hw)
            except Exception as error:
                codecs = ", ".join(self._sound.codecs)
                self._sound.close()
                self._sound = None
                if is_about_storage(error):
                    raise
                self._notice(f"the sound ({codecs}) is left out of the videos: MP4 cannot hold it as it is")
            else:
                self._sound.tell()
                return
        self._open(size_hw)

    def _open_sound(self, path: str) -> Sound | None:
        try:
            return Sound(path, first_seconds=self._first, notice=self._notice)
        except Exception as error:  # what reads the pictures says what is wrong with the file
            self._notice(f"the sound is left out of the videos: it cannot be read ({error})")
            return None

    def _open(self, size_hw: tuple[int, int]) -> None:
        import av

        mp4 = self._codec == "h264"
        container = av.open(
            str(self.staged.part),
            "w",
            format=_CONTAINERS[self._codec],
            container_options={"movflags": "+faststart"} if mp4 else {},
        )
        try:
            stream = self._add_stream(container, size_hw)
            if self._sound is not None:
                self._sound.attach(container)
            container.start_encoding()
        except Exception:
            container.close()
            raise
        self._container, self._stream = container, stream

    def _add_stream(self, container: Any, size_hw: tuple[int, int]) -> Any:
        height, width = size_hw if self._codec == "ffv1" else (n + n % 2 for n in size_hw)
        rate = self._clock.frame_rate or Fraction(25)
        encoder, pix_fmt = _ENCODERS[self._codec]
        options = {**_options(self._codec, size_hw), **(self._x264 if self._codec == "h264" else {})}
        stream = container.add_stream(encoder, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = self._clock.time_base
        stream.thread_count = self._threads
        if self._codec != "ffv1":
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED
        return stream

    def _frame(self, picture: NDArray[np.uint8]) -> Any:
        import av

        if self._codec == "ffv1":
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
        else:
            odd = picture.shape[0] % 2, picture.shape[1] % 2
            if any(odd):
                picture = np.pad(picture, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
            given = "rgb24" if self._codec == "h264" else "rgba"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=given).reformat(
                format=_ENCODERS[self._codec][1],
                dst_colorspace=_BT709,
                dst_color_range=_LIMITED,
                threads=self._threads,
            )
        frame.pts, frame.time_base, frame.duration = self._ticks, self._clock.time_base, self._step()
        return frame

    def _step(self) -> int:
        rate = self._clock.frame_rate
        return 1 if rate is None else max(1, round(1 / (rate * self._clock.time_base)))


def _options(codec: Codec, size_hw: tuple[int, int]) -> dict[str, str]:
    if codec != "ffv1":
        return dict(_H264 if codec == "h264" else _VP9)
    return dict(_FFV1) if min(size_hw) > 1 else {}  # a single row cannot be cut into slices
