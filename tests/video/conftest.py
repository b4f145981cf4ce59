"""Tiny videos with known frames, and what reads them back."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from segtween.labels import CAMVID11
from segtween.types import Frame, Result, ScoreMap, SourceInfo


def level(index: int) -> int:
    """The grey that frame `index` is filled with."""
    return 20 + (index * 7) % 200


def picture(index: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Grey of the frame's level with a brighter block at the top left."""
    rgb = np.full((*size_hw, 3), level(index), np.uint8)
    rgb[: size_hw[0] // 4, : size_hw[1] // 4] = 250
    return rgb


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Writes a video: frame i is `pictures[i]` at `pts[i]` units of `time_base`."""

    def make(
        path: Path,
        *,
        codec: str = "libx264",
        n: int = 12,
        size_hw: tuple[int, int] = (48, 64),
        rate: Fraction | int = 25,
        time_base: Fraction | None = None,
        pts: Sequence[int | None] | None = None,
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        rotation: tuple[float, bool] | None = None,
        pictures: Sequence[np.ndarray] | None = None,
        audio: str | None = None,
        tags: tuple[int, int] | None = None,
        container_options: dict[str, str] | None = None,
        form: str | None = None,
    ) -> Path:
        base = time_base or 1 / Fraction(rate)
        with av.open(str(path), "w", format=form, container_options=container_options or {}) as out:
            stream = out.add_stream(codec, rate=rate, options=options or ({"crf": "5"} if codec == "libx264" else {}))
            stream.width, stream.height, stream.pix_fmt = size_hw[1], size_hw[0], pix_fmt
            stream.codec_context.time_base = base
            stream.thread_count = 1
            if rotation is not None:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            if tags is not None:
                stream.codec_context.colorspace, stream.codec_context.color_range = tags
            sound = out.add_stream(audio, rate=48_000) if audio else None
            if sound is not None:
                _add_sound(out, sound, float(n / Fraction(rate)))
            for i in range(n):
                data = pictures[i] if pictures is not None else picture(i, size_hw)
                frame = data if isinstance(data, av.VideoFrame) else av.VideoFrame.from_ndarray(data, format="rgb24")
                frame.pts, frame.time_base = (i if pts is None else pts[i]), base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        return path

    return make


def _add_sound(out: Any, stream: Any, seconds: float) -> None:
    samples = (np.sin(np.arange(int(48_000 * seconds)) / 20) * 8000).astype(np.int16)
    resampler = av.AudioResampler(format=stream.format.name, layout="stereo", rate=48_000, frame_size=1024)
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts = 48_000, 0
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


@pytest.fixture(scope="session")
def write_wave() -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes(bytes(1600))
        return path

    return write


@pytest.fixture(scope="session")
def frame_level() -> Callable[[int], int]:
    return level


@pytest.fixture(scope="session")
def read_back() -> Callable[..., list[tuple[Fraction, np.ndarray]]]:
    """(seconds, pixels) of every frame of a video, by PyAV alone."""

    def read(path: Path, *, form: str = "rgb24") -> list[tuple[Fraction, np.ndarray]]:
        with av.open(str(path)) as container:
            frames: Iterator[Any] = container.decode(video=0)
            return [(f.pts * f.time_base, f.to_ndarray(format=form)) for f in frames]

    return read


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """A result for a frame: labels as given or in stripes that move with the frame."""

    def make(frame: Frame, *, labels: np.ndarray | None = None, every: int = 3) -> Result:
        height, width = frame.size_hw
        if labels is None:
            stripes = (np.arange(width) + frame.index) // 8 % len(CAMVID11)
            labels = np.broadcast_to(stripes, (height, width)).astype(np.uint8)
            labels = np.ascontiguousarray(labels)
            labels[0] = 255
        scores = np.zeros((len(CAMVID11), 3, 4), np.float32)
        scores[0] = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
        distance = frame.index % every
        carried = ScoreMap(scores, "probabilities", frame.size_hw)
        return Result(
            frame.index,
            float(frame.pts_seconds),
            distance == 0,
            distance,
            False,
            labels,
            carried,
            {"segment": 1.5, "label": 0.25},
        )

    return make


@pytest.fixture
def make_frames() -> Callable[..., tuple[SourceInfo, list[Frame]]]:
    """A clip in memory."""

    def make(
        n: int = 6, *, size_hw: tuple[int, int] = (48, 64), rate: Fraction | int = 25, **extra: Any
    ) -> tuple[SourceInfo, list[Frame]]:
        step = 1 / Fraction(rate)
        info = SourceInfo("clip", "clip", size_hw, Fraction(rate), n, time_base=step, **extra)
        return info, [Frame(i, i * step, picture(i, size_hw)) for i in range(n)]

    return make
