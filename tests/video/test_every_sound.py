"""Every sound codec that PyAV's build encodes, in every container that takes it: none costs the pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from segtween.errors import SinkError
from segtween.video.encode import Clock, VideoWriter

PICTURES = 4
CONTAINERS = {
    "avi": "mjpeg", "matroska": "mjpeg", "mov": "mjpeg", "mp4": "mpeg4", "mpegts": "mpeg2video", "vob": "mpeg2video",
    "flv": "flv", "asf": "mpeg4", "nut": "mjpeg", "mxf": "mpeg2video", "3gp": "mpeg4", "dv": "dvvideo",
    "webm": "libvpx", "wtv": "mpeg2video", "rm": "rv10", "swf": "flv1",
}  # fmt: skip
"""FFmpeg's names of containers, and what video goes into each here."""


def encoders() -> list[str]:
    found = []
    for name in sorted(av.codec.codecs_available):
        try:
            if av.codec.Codec(name, "w").type == "audio":
                found.append(name)
        except ValueError:  # it only decodes
            pass
    return found


def write(
    path: Path, form: str, *sounds: tuple[str, int, str], video: str = "mjpeg", delay_seconds: float = 0.0, n: int = 4
) -> Path:
    """A video of `n` pictures with sounds (encoder, rate, layout), each a tone that begins after `delay_seconds`."""
    with av.open(str(path), "w", format=form) as out:
        stream = out.add_stream(video, rate=25)
        stream.width, stream.height = (720, 576) if video == "dvvideo" else (64, 48)
        stream.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
        tracks = [
            out.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"}) for codec, rate, layout in sounds
        ]
        tones = [
            tone(track, rate, layout, seconds=n / 25, delay_seconds=delay_seconds)
            for track, (_, rate, layout) in zip(tracks, sounds, strict=True)
        ]
        for packets in tones:
            out.mux(packets)
        for i in range(n):
            grey = np.full((stream.height, stream.width, 3), 20 * i % 250, np.uint8)
            picture = av.VideoFrame.from_ndarray(grey, format="rgb24")
            picture.pts, picture.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def tone(track: Any, rate: int, layout: str, *, seconds: float, delay_seconds: float) -> list[Any]:
    track.codec_context.open()
    samples = (np.sin(np.arange(round(rate * seconds)) / 20) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(
        np.repeat(samples, av.AudioLayout(layout).nb_channels)[None], format="s16", layout=layout
    )
    frame.sample_rate, frame.pts = rate, round(delay_seconds * rate)
    resampler = av.AudioResampler(
        format=track.codec_context.format.name,
        layout=layout,
        rate=rate,
        frame_size=track.codec_context.frame_size or 1024,
    )
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for piece in [*pieces, None] for packet in track.encode(piece)]


def family(decoder: str) -> str:
    """MP4 has one name for MPEG audio of all layers."""
    return "mpeg" if decoder.startswith(("mp2", "mp3")) else decoder


def overlay(
    path: Path, target: Path, *, first: int = 0, n: int = PICTURES, end: str = "close"
) -> tuple[list[list[np.ndarray]], list[str], list[str]]:
    """Writes `n` pictures with the sound of `path`; the decoded sound of each track, the codecs and the notices."""
    notices: list[str] = []
    with av.open(str(path)) as container:
        audio = str(path) if container.streams.audio else None
    writer = VideoWriter(
        target, codec="h264", clock=Clock(Fraction(1, 25), Fraction(25)), audio_path=audio, notice=notices.append
    )
    try:
        for i in range(first, first + n):
            writer.write(np.full((48, 64, 3), i, np.uint8), Fraction(i, 25))
        getattr(writer, end)()
    finally:
        writer.abort()
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == n, "the pictures are all there"
    tracks, codecs = [], []
    with av.open(str(target)) as container:
        for stream in container.streams.audio:
            codecs.append(stream.codec_context.name)
            container.seek(0)
            tracks.append([frame.to_ndarray() for frame in container.decode(stream)])
    return tracks, codecs, notices


@pytest.mark.slow
@pytest.mark.parametrize("form", CONTAINERS)
def test_no_sound_costs_the_pictures(tmp_path: Path, form: str) -> None:
    made = 0
    for codec in encoders():
        for rate, layout in ((48_000, "stereo"), (44_100, "stereo"), (8000, "mono")):
            try:
                path = write(tmp_path / f"{codec}.{form}", form, (codec, rate, layout), video=CONTAINERS[form])
                with av.open(str(path)) as container:
                    known = [s.codec_context is not None and s.codec_context.name for s in container.streams.audio]
            except (av.FFmpegError, ValueError, NotImplementedError, AssertionError):
                continue  # this container does not take it
            if known:
                made += 1
                tracks, codecs, notices = overlay(path, tmp_path / "out.mp4")
                assert tracks or "left out" in notices[0], (codec, notices)
                assert all(tracks), f"{codec}: silence is not sound"
                as_before = [family(c) for c in codecs] == [family(c) for c in known]
                assert as_before or notices, f"{codec} became {codecs} and nobody said it"
                assert not notices or "cannot hold it as it is" in notices[0]
            break
    assert made


@pytest.mark.parametrize(
    ("form", "sounds", "codecs", "said"),
    [
        ("avi", [("pcm_s16le", 48_000, "stereo")], ["aac"], "(pcm_s16le) is converted to AAC"),
        ("matroska", [("pcm_s16le", 48_000, "4.0")], ["aac"], "(pcm_s16le) is converted to AAC"),
        ("matroska", [("pcm_f32le", 44_100, "5.1")], ["aac"], "(pcm_f32le) is converted to AAC"),
        ("mov", [("pcm_s24le", 96_000, "mono")], ["aac"], "(pcm_s24le) is converted to AAC"),
        (
            "matroska",
            [("aac", 48_000, "stereo"), ("pcm_s16le", 48_000, "stereo")],
            ["aac", "aac"],
            "(pcm_s16le) is con",
        ),
        ("matroska", [("aac", 48_000, "stereo"), ("ac3", 48_000, "stereo")], ["aac", "ac3"], None),
        ("matroska", [("pcm_s16le", 48_000, "5.1.4")], ["aac"], "(pcm_s16le) is converted to AAC"),
        ("matroska", [("wavpack", 11_000, "mono")], ["aac"], "(wavpack) is converted to AAC"),
    ],
)
def test_layouts_rates_and_several_tracks(tmp_path: Path, form, sounds, codecs, said) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a", form, *sounds, n=25)
    tracks, got, notices = overlay(path, tmp_path / "out.mp4", n=25)
    assert got == codecs
    assert [said in notice for notice in notices] == ([True] if said else [])
    for track in tracks:
        assert np.abs(np.concatenate(track, axis=1)).max() > 0.1


def test_converted_sound_ends_with_the_pictures_to_the_sample(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", "matroska", ("pcm_s16le", 48_000, "stereo"), n=50)
    (track,), _, _ = overlay(path, tmp_path / "out.mp4", n=10, end="abort")
    assert abs(sum(part.shape[1] for part in track) - 48_000 * 10 // 25) <= 1024
    (track,), _, _ = overlay(path, tmp_path / "cut.mp4", first=20, n=10, end="abort")
    assert abs(sum(part.shape[1] for part in track) - 48_000 * 10 // 25) <= 1024


def test_converted_sound_that_begins_late_stays_late(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", "matroska", ("pcm_s16le", 48_000, "stereo"), n=25, delay_seconds=0.5)
    overlay(path, tmp_path / "out.mp4", n=25)
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(f for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.1)
        assert float(first.pts * first.time_base) == pytest.approx(0.5, abs=0.03)


def test_sound_that_cannot_be_opened_costs_nothing(tmp_path: Path) -> None:
    notices: list[str] = []
    writer = VideoWriter(
        tmp_path / "out.mp4",
        codec="h264",
        clock=Clock(Fraction(1, 25), Fraction(25)),
        audio_path=str(tmp_path / "gone.mp4"),
        notice=notices.append,
    )
    writer.write(np.zeros((48, 64, 3), np.uint8), Fraction(0))
    writer.close()
    assert (tmp_path / "out.mp4").stat().st_size > 0
    assert notices[0].startswith("the sound is left out of the videos: it cannot be read (")


class Complains:
    """Stands in for an output container: writes every packet, and says of some pictures that something was wrong, as
    FFmpeg does where a sound packet that it held back cannot be written."""

    def __init__(self, container: Any, errno: int) -> None:
        self._container, self._errno, self.complaints = container, errno, 2

    def mux(self, packets: Any) -> None:
        self._container.mux(packets)
        if isinstance(packets, av.Packet) and packets.stream.type == "video" and self.complaints:
            self.complaints -= 1
            raise av.error.FFmpegError(self._errno, "Invalid data")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)


def test_an_error_of_sound_that_ffmpeg_held_back_costs_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mkv", "matroska", ("aac", 48_000, "stereo"), n=25)
    real, target = av.open, tmp_path / "out.mp4"
    monkeypatch.setattr(
        av, "open", lambda *a, **k: Complains(real(*a, **k), 22) if ".part" in str(a[0]) else real(*a, **k)
    )
    _, _, notices = overlay(path, target, n=25)
    assert len(notices) == 1
    assert notices[0].startswith("the sound is left out of the videos from ")
    silent = write(tmp_path / "silent.mkv", "matroska", n=25)
    with pytest.raises(SinkError, match="out.mp4 cannot be written"):
        overlay(silent, target, n=25)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
