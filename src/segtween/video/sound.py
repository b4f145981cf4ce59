"""The sound track of a file, kept with new pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from segtween.video.audio_tracks import ConvertedTrack, CopiedTrack, Track, how_to_keep
from segtween.video.staging import is_about_storage

Notice = Callable[[str], None]


class Sound:
    """The audio streams of `path`, on the clock of the pictures that are written.

    Each is copied where MP4 holds it, converted to AAC where it does not, and left out where that fails; `notice` is
    told of the latter two, and of a track that ends early because its packets do not fit.
    `first_seconds` is the pts of the first picture (since the video stream's start): it becomes 0.
    Packets that end before it are left out unless it is 0, so that an uncut file keeps every packet.
    """

    def __init__(self, path: str, *, first_seconds: Fraction, notice: Notice) -> None:
        import av

        self._notice = notice
        self._input = av.open(path, "r", metadata_errors="replace")
        video = self._input.streams.video[0]
        start = (video.start_time or 0) * (video.time_base or 0)
        self._zero, self._cut = Fraction(start + first_seconds), first_seconds > 0
        self._how = {stream.index: how_to_keep(path, stream.index) for stream in self._input.streams.audio}
        self._tracks: dict[int, Track] = {}
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None

    @property
    def codecs(self) -> list[str]:
        return [_codec(s) for s in self._input.streams.audio]

    def attach(self, output: Any) -> None:
        """Adds the streams to `output`, before its header is written."""
        self._output = output
        for stream in self._input.streams.audio:
            how = self._how[stream.index]
            if how is not None:
                self._tracks[stream.index] = (CopiedTrack if how == "copy" else ConvertedTrack)(stream, output)
        if self._tracks:
            if self._zero > 5:
                self._input.seek(int((self._zero - 2) * 1_000_000), backward=True)
            self._packets = self._input.demux(*(self._input.streams[i] for i in self._tracks))

    def tell(self) -> None:
        """Says what is not kept as it is."""
        for how, text in (("convert", "converted to AAC in"), (None, "left out of")):
            codecs = [_codec(self._input.streams[index]) for index, found in self._how.items() if found == how]
            if codecs:
                named = ", ".join(dict.fromkeys(codecs))
                self._notice(f"the sound ({named}) is {text} the videos: MP4 cannot hold it as it is")

    def write_until(self, seconds: Fraction | None) -> None:
        """Writes what begins before `seconds` on the new clock; None = all that is left."""
        while True:
            packet = self._next if self._next is not None else self._read()
            if packet is None:
                return
            if packet.dts is None or packet.stream.index not in self._tracks:
                self._next = None
                continue
            at = (packet.pts if packet.pts is not None else packet.dts) * packet.time_base - self._zero
            if seconds is not None and at >= seconds:
                self._next = packet
                return
            self._next = None
            if not (self._cut and at + (packet.duration or 0) * packet.time_base <= 0):
                self._write(packet, at, seconds)

    def finish(self, seconds: Fraction | None) -> None:
        """As `write_until`, and nothing comes after it."""
        self.write_until(seconds)
        for index in list(self._tracks):
            self._mux(index, lambda track: track.finish(seconds), seconds)

    def _read(self) -> Any:
        """The next packet; None at the end, which is also where the file is damaged (its pictures say so)."""
        import av

        try:
            return next(self._packets, None)
        except av.FFmpegError:
            return None

    def _write(self, packet: Any, at: Fraction, until: Fraction | None) -> None:
        index = packet.stream.index

        def through(track: Track) -> list[Any]:
            track.put(packet, self._zero)
            return track.packets(until)

        self._mux(index, through, at)

    def _mux(self, index: int, made: Callable[[Track], list[Any]], at: Fraction | None) -> None:
        """Writes what a track makes. An error ends that track, unless it is the disk's."""
        import av

        try:
            for packet in made(self._tracks[index]):
                self._output.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            if is_about_storage(error):
                raise
            self._end(index, at, error)

    def _end(self, index: int, at: Fraction | None, error: Exception) -> None:
        del self._tracks[index]
        since = "its end" if at is None else f"{max(0.0, float(at)):.1f} s"
        named = _codec(self._input.streams[index])
        self._notice(f"the sound ({named}) is left out of the videos from {since} on: {error}")

    def stop(self) -> None:
        """Writes nothing more."""
        self._packets, self._next = iter(()), None
        self._tracks = {}

    def close(self) -> None:
        self.stop()
        self._input.close()


def _codec(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown"
