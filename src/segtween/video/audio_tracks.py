"""One sound track in MP4: copied packet by packet, or converted to AAC."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

COPIED = frozenset(
    ("aac", "mp3", "mp3float", "mp2", "mp2float", "ac3", "eac3", "opus", "libopus", "flac", "alac", "dca")
)
"""Decoders of the codecs that players know in MP4. FFmpeg writes some more (PCM, Vorbis), which most do not play."""
BLOCK = 1024
"""Samples of one AAC packet."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Those that AAC has, by their channels; others can only be mixed to two."""
_TRIED_PACKETS, _SEARCHED_PACKETS = 12, 4000

Samples = NDArray[np.float32]
"""(channels, n) float32."""


class CopiedTrack:
    """The packets as they are, on a clock that is at 0 at `zero` seconds."""

    def __init__(self, stream: Any, output: Any) -> None:
        self._stream, self._ready = output.add_stream_from_template(stream), list[Any]()

    def put(self, packet: Any, zero: Fraction) -> None:
        shift = round(zero / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = self._stream
        self._ready.append(packet)

    def packets(self, until: Fraction | None) -> list[Any]:
        del until  # packets are put in only up to there
        ready, self._ready = self._ready, []
        return ready

    finish = packets


class ConvertedTrack:
    """The samples as AAC, of the same rate and channels where AAC has them, cut exactly where asked for."""

    def __init__(self, stream: Any, output: Any) -> None:
        context = stream.codec_context
        rate = context.sample_rate if context.sample_rate in encoder().audio_rates else 48_000
        layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        self._stream = output.add_stream("aac", rate=rate, layout=layout)
        self._stream.bit_rate = min(96_000, 6 * rate) * self._stream.codec_context.channels
        self._queue = SampleQueue(self._stream.codec_context.channels, rate)
        self._rate, self._layout = rate, layout
        self._resampler: Any = None
        self._setting: tuple[str, str, int] | None = None

    def put(self, packet: Any, zero: Fraction) -> None:
        import av

        try:
            frames = packet.decode()
        except av.InvalidDataError:
            return  # a damaged packet is a gap
        for frame in frames:
            at = None if frame.pts is None else round((frame.pts * frame.time_base - zero) * self._rate)
            for piece in self._resampled(frame):
                self._queue.put(piece.to_ndarray(), at)
                at = None

    def packets(self, until: Fraction | None) -> list[Any]:
        return [p for block in self._queue.blocks(self._limit(until)) for p in self._encoded(*block)]

    def finish(self, until: Fraction | None) -> list[Any]:
        self._queue.cut(self._limit(until))
        rest = [p for block in self._queue.blocks(None, to_the_end=True) for p in self._encoded(*block)]
        return [*rest, *self._stream.encode(None)]

    def _limit(self, until: Fraction | None) -> int | None:
        return None if until is None else round(until * self._rate)

    def _resampled(self, frame: Any) -> list[Any]:
        import av

        frame = _with_known_layout(frame)
        setting = frame.format.name, frame.layout.name, frame.sample_rate
        if setting != self._setting:
            self._setting = setting
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        frame.pts = None
        return list(self._resampler.resample(frame))

    def _encoded(self, at: int, samples: Samples) -> list[Any]:
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, at, Fraction(1, self._rate)
        return list(self._stream.encode(frame))


Track = CopiedTrack | ConvertedTrack
"""A track being written: packets of the input go in, packets of the output come out."""


@dataclass
class _Run:
    """Samples without a gap; the first of them is number `start`."""

    start: int
    parts: deque[Samples] = field(default_factory=deque)
    count: int = 0

    @property
    def end(self) -> int:
        return self.start + self.count

    def add(self, samples: Samples) -> None:
        self.parts.append(samples)
        self.count += samples.shape[1]

    def take(self, count: int) -> Samples:
        """The first `count` samples."""
        taken, missing = list[Samples](), count
        while missing:
            part = self.parts.popleft()
            taken.append(part[:, :missing])
            if part.shape[1] > missing:
                self.parts.appendleft(part[:, missing:])
            missing -= taken[-1].shape[1]
        self.start += count
        self.count -= count
        return np.concatenate(taken, axis=1)


class SampleQueue:
    """Samples in, blocks of `BLOCK` out, each with the number of its first sample; those before number 0 are left out.

    Timestamps that are up to 50 ms off count as rounded. A longer overlap is left out, a short gap is silence, a long
    one stays a gap, before which the last block is filled up with silence.
    """

    def __init__(self, channels: int, rate: int) -> None:
        self._channels, self._tolerance = channels, rate // 20
        self._runs: deque[_Run] = deque()
        self._end: int | None = None

    def put(self, samples: Samples, at: int | None) -> None:
        """`at` is the number of the first sample; None: it follows the ones before."""
        expected = self._end
        start = at if at is not None else expected or 0
        if expected is not None and abs(start - expected) <= self._tolerance:
            start = expected
        skip = max(0, (0 if expected is None else expected) - start)
        samples, start = samples[:, skip:], start + skip
        if not samples.shape[1]:
            return
        gap = start - (start if expected is None else expected)
        if not self._runs or gap > 2 * BLOCK:
            self._runs.append(_Run(start))
        elif gap:
            self._runs[-1].add(np.zeros((self._channels, gap), np.float32))
        self._runs[-1].add(samples)
        self._end = self._runs[-1].end

    def blocks(self, until: int | None, *, to_the_end: bool = False) -> Iterator[tuple[int, Samples]]:
        """The blocks that are complete and end at number `until` at the latest."""
        while self._runs:
            run, is_last = self._runs[0], len(self._runs) == 1
            if run.count >= BLOCK and (until is None or run.start + BLOCK <= until):
                yield run.start, run.take(BLOCK)
            elif run.count < BLOCK and (to_the_end or not is_last):
                self._runs.popleft()
                if run.count:
                    missing = 0 if is_last else BLOCK - run.count
                    yield run.start, np.pad(run.take(run.count), ((0, 0), (0, missing)))
            else:
                return

    def cut(self, until: int | None) -> None:
        """Leaves out what comes at number `until` and later."""
        while until is not None and self._runs and self._runs[-1].end > until:
            run = self._runs.pop()
            if run.start < until:
                kept = _Run(run.start)
                kept.add(run.take(until - run.start))
                self._runs.append(kept)


def how_to_keep(path: str, index: int) -> Literal["copy", "convert"] | None:
    """How MP4 can hold the audio stream `index` of the file; None where neither way works.

    Both are tried on the first packets, in memory: what cannot be known from the codec's name (channels without a
    layout, headers that are missing) shows there.
    """
    if _works(path, index, CopiedTrack):
        return "copy"
    return "convert" if encoder() is not None and _works(path, index, ConvertedTrack) else None


def encoder() -> Any:
    """The AAC encoder of PyAV's build, None without one."""
    import av

    try:
        return av.codec.Codec("aac", "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return None


def _works(path: str, index: int, kind: type[Track]) -> bool:
    import av

    try:
        with av.open(path, "r", metadata_errors="replace") as container:
            stream, file = container.streams[index], io.BytesIO()
            if kind is CopiedTrack and stream.codec_context.name not in COPIED:
                return False
            packets = _first_packets(container, stream)
            with av.open(file, "w", format="mp4") as output:
                track = kind(stream, output)
                output.start_encoding()
                for packet in packets:
                    track.put(packet, Fraction(0))
                output.mux(track.finish(None))
            if packets:
                with av.open(io.BytesIO(file.getvalue())) as written:
                    next(written.decode(audio=0))
    except Exception:  # whatever it is, it is about the sound, which is tried another way or left out then
        return False
    return True


def _first_packets(container: Any, stream: Any) -> list[Any]:
    searched = islice(container.demux(), _SEARCHED_PACKETS)
    found = (p for p in searched if p.stream.index == stream.index and p.dts is not None)
    return list(islice(found, _TRIED_PACKETS))


def _with_known_layout(frame: Any) -> Any:
    """The frame itself, or, where it only counts its channels, one with the usual layout for that many."""
    import av

    count = frame.layout.nb_channels
    if frame.layout.name != f"{count} channels":
        return frame
    layout = _LAYOUTS.get(count, f"{count}c")
    known = av.AudioFrame.from_ndarray(frame.to_ndarray(), format=frame.format.name, layout=layout)
    known.sample_rate = frame.sample_rate
    return known
