"""Copying a file's sound beside new pictures, packet by packet."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any


class Sound:
    """The audio streams of `path`, as they are, on the clock of the pictures that are written.

    `first_seconds` is the pts of the first picture (since the video stream's start): it becomes 0.
    Packets that end before it are left out unless it is 0, so that an uncut file keeps every packet.
    """

    def __init__(self, path: str, *, first_seconds: Fraction) -> None:
        import av

        self._input = av.open(path, "r", metadata_errors="replace")
        video = self._input.streams.video[0]
        start = (video.start_time or 0) * (video.time_base or 0)
        self._zero, self._cut = Fraction(start + first_seconds), first_seconds > 0
        self._streams: dict[int, Any] = {}
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self.seconds = Fraction(0)

    @property
    def codecs(self) -> list[str]:
        return [_codec(s) for s in self._input.streams.audio]

    def attach(self, output: Any) -> list[str]:
        """Adds the streams to `output`, before its header is written; the codecs that its format cannot hold."""
        left_out = []
        for stream in self._input.streams.audio:
            try:
                if stream.codec_context is None:
                    raise ValueError("FFmpeg does not know the codec")
                self._streams[stream.index] = output.add_stream_from_template(stream)
            except ValueError:
                left_out.append(_codec(stream))
        self._output = output
        if self._streams:
            if self._zero > 5:
                self._input.seek(int((self._zero - 2) * 1_000_000), backward=True)
            self._packets = self._input.demux(*(self._input.streams[i] for i in self._streams))
        return left_out

    def write_until(self, seconds: Fraction | None) -> None:
        """Writes the packets that begin before `seconds` on the new clock; None = all that are left."""
        while True:
            packet = self._next if self._next is not None else self._read()
            if packet is None:
                return
            if packet.dts is None:
                continue
            at = (packet.pts if packet.pts is not None else packet.dts) * packet.time_base - self._zero
            if seconds is not None and at >= seconds:
                self._next = packet
                return
            self._next = None
            self.seconds = at
            if not (self._cut and at + packet.duration * packet.time_base <= 0):
                self._write(packet)

    def _read(self) -> Any:
        """The next packet; None at the end, which is also where the file is damaged (its pictures say so)."""
        import av

        try:
            return next(self._packets, None)
        except av.FFmpegError:
            return None

    def _write(self, packet: Any) -> None:
        shift = round(self._zero / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = self._streams[packet.stream.index]
        self._output.mux(packet)

    def stop(self) -> None:
        """Writes nothing more."""
        self._packets, self._next = iter(()), None

    def close(self) -> None:
        self.stop()
        self._input.close()


def _codec(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown"
