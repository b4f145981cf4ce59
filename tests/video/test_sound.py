"""Sound is copied packet by packet, cut with the pictures, or left out in plain words."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from segtween.errors import SourceError
from segtween.labels import CAMVID11
from segtween.video import SaveOptions, open_source
from segtween.video.audio_tracks import CopiedTrack
from segtween.video.saving import open_sinks


def run(path, out, make_result, *, end: str = "close", stop: int | None = None, **part):
    source = open_source(path, **part)
    sink = open_sinks(out, SaveOptions(["overlay", "side-by-side"]), info=source.info, labels=CAMVID11)
    for frame in source:
        if frame.index == stop:
            break
        sink.write(frame, make_result(frame))
    getattr(sink, end)()
    source.close()
    return sink.report.notes


def packets(path):
    """(seconds, data) of every sound packet, on the clock of the first picture."""
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * container.streams.video[0].time_base
        return [
            (float(p.pts * p.time_base - start), bytes(p))
            for p in container.demux(container.streams.audio[0])
            if p.dts is not None
        ]


def samples(path) -> np.ndarray:
    """The first channel, from the time of the first picture on."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        resampler = av.AudioResampler(format="fltp")
        pieces = [piece for frame in [*frames, None] for piece in resampler.resample(frame)]
        start = round(frames[0].pts * frames[0].time_base * frames[0].sample_rate)
        return np.concatenate([p.to_ndarray() for p in pieces], axis=1)[0][max(0, -start) :]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.ts", "aac"), ("a.mkv", "libopus"), ("a.mkv", "flac"), ("a.mkv", "ac3")]
)
def test_every_packet_is_copied_in_time(make_video, make_result, tmp_path, name, codec):
    path = make_video(tmp_path / name, n=50, audio=codec)
    notices = run(path, tmp_path / "out", make_result)
    assert notices == []
    for output in ("overlay.mp4", "side-by-side.mp4"):
        got, wanted = packets(tmp_path / "out" / output), packets(path)
        assert len(got) == len(wanted)
        assert max(abs(a[0] - b[0]) for a, b in zip(got, wanted, strict=True)) < 0.003
        if not name.endswith("ts"):  # MPEG-TS wraps every packet of AAC in a header that MP4 has no use for
            assert [d for _, d in got] == [d for _, d in wanted]


def test_sound_is_cut_with_the_part(make_video, make_result, tmp_path):
    path = make_video(tmp_path / "a.mp4", n=75, audio="aac")
    run(path, tmp_path / "out", make_result, start_seconds=1.0, duration_seconds=0.8)
    got, whole = packets(tmp_path / "out" / "overlay.mp4"), packets(path)
    by_data = {data: at for at, data in whole}
    assert all(abs(by_data[data] - 1.0 - at) < 0.003 for at, data in got)
    assert -0.03 < got[0][0] <= 0.001
    assert 0.75 < got[-1][0] < 0.8


def test_sound_ends_with_the_pictures_of_a_stopped_run(make_video, make_result, tmp_path):
    path = make_video(tmp_path / "a.mp4", n=75, audio="aac")
    run(path, tmp_path / "out", make_result, end="abort", stop=25)
    got = packets(tmp_path / "out" / "overlay.mp4")
    assert 0.95 < got[-1][0] < 1.0
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25


def test_sound_that_does_not_fit_is_converted(make_video, make_result, tmp_path):
    path = make_video(tmp_path / "a.mkv", n=50, audio="wavpack")
    notices = run(path, tmp_path / "out", make_result)
    assert notices == ["the sound (wavpack) is converted to AAC in the videos: MP4 cannot hold it as it is"]
    for output in ("overlay.mp4", "side-by-side.mp4"):
        got, wanted = samples(tmp_path / "out" / output), samples(path)
        assert abs(got.size - wanted.size) <= 2048
        n = min(got.size, wanted.size)
        assert np.corrcoef(got[:n], wanted[:n])[0, 1] > 0.99, "in time to the sample"


def test_sound_that_cannot_be_converted_is_left_out_and_said_once(
    make_video, make_result, read_back, tmp_path, monkeypatch
):
    path = make_video(tmp_path / "a.mkv", n=5, audio="wavpack")
    monkeypatch.setattr("segtween.video.audio_tracks.encoder", lambda: None)
    notices = run(path, tmp_path / "out", make_result)
    assert notices == ["the sound (wavpack) is left out of the videos: MP4 cannot hold it as it is"]
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert not container.streams.audio
    assert [t for t, _ in read_back(tmp_path / "out" / "overlay.mp4")] == [Fraction(i, 25) for i in range(5)]


def test_sound_that_the_header_refuses_is_left_out_too(make_video, make_result, read_back, tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", n=5, audio="aac")
    real = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: _Refusing(real(*a, **k)) if "w" in a else real(*a, **k))
    notices = run(path, tmp_path / "out", make_result)
    assert notices == ["the sound (aac) is left out of the videos: MP4 cannot hold it as it is"]
    assert len(read_back(tmp_path / "out" / "overlay.mp4")) == 5


class _Refusing:
    """An output container whose header cannot be written with sound."""

    def __init__(self, container) -> None:
        self._container = container

    def start_encoding(self) -> None:
        if self._container.streams.audio:
            raise av.error.ExperimentalError(1, "experimental")
        self._container.start_encoding()

    def __getattr__(self, name):
        return getattr(self._container, name)


def test_silent_videos_stay_silent(make_video, make_result, tmp_path):
    run(make_video(tmp_path / "a.mp4"), tmp_path / "out", make_result)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]


def test_cut_off_file_keeps_pictures_and_sound_up_to_there(make_video, make_result, tmp_path):
    art = np.random.default_rng(0).integers(0, 255, (75, 48, 64, 3), dtype=np.uint8)
    path = make_video(
        tmp_path / "a.mp4", n=75, audio="aac", pictures=list(art), container_options={"movflags": "+faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])
    source = open_source(path)
    sink = open_sinks(tmp_path / "out", SaveOptions(["overlay"]), info=source.info, labels=CAMVID11)
    count = 0
    try:
        for frame in source:
            sink.write(frame, make_result(frame))
            count += 1
    except SourceError:
        sink.abort()
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count
    assert 10 < count < 75
    assert packets(tmp_path / "out" / "overlay.mp4")


def test_packets_that_do_not_fit_end_the_sound_only(make_video, make_result, read_back, tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", n=30, audio="aac")
    monkeypatch.setattr(CopiedTrack, "packets", _refuse)
    monkeypatch.setattr("segtween.video.sound.how_to_keep", lambda *_: "copy")
    notices = run(path, tmp_path / "out", make_result)
    assert notices == ["the sound (aac) is left out of the videos from 0.0 s on: not in order"]
    assert len(read_back(tmp_path / "out" / "overlay.mp4")) == 30


def _refuse(*_) -> None:
    raise ValueError("not in order")
