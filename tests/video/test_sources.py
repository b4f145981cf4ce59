"""Every kind of file gives every frame once, at its exact time, upright, in the right colours."""

from __future__ import annotations

import gc
import http.server
import io
import itertools
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from segtween.errors import SettingError, SourceError
from segtween.video import open_source

NTSC = Fraction(30_000, 1001)


def read(path: Path | str, **options) -> tuple:
    source = open_source(path, **options)
    frames = list(source)
    source.close()
    source.close()
    assert [f.index for f in frames] == list(range(len(frames)))
    return source.info, frames


def check_levels(frames, frame_level, *, first: int = 0, tolerance: int = 3) -> None:
    for i, frame in enumerate(frames):
        middle = frame.rgb[frame.rgb.shape[0] // 2, frame.rgb.shape[1] // 2].astype(int)
        assert np.abs(middle - frame_level(first + i)).max() <= tolerance, i


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts", "clip.mov"])
def test_every_frame_comes_once_at_its_time(make_video, frame_level, tmp_path, name):
    codec = "mpeg4" if name.endswith("avi") else "libx264"  # AVI holds no times of reordered frames
    path = make_video(
        tmp_path / name,
        n=14,
        codec=codec,
        options={"bf": "2", "crf": "5", "q": "2"} if codec == "libx264" else {"qmin": "1", "qmax": "2"},
    )
    info, frames = read(path)
    assert [f.pts_seconds for f in frames] == [Fraction(i, 25) for i in range(14)]
    assert (info.name, info.size_hw, info.frame_rate, info.live) == ("clip", (48, 64), 25, False)
    check_levels(frames, frame_level)
    assert all(f.rgb.dtype == np.uint8 and f.rgb.flags.c_contiguous and f.rgb.flags.writeable for f in frames)


def test_known_count_and_time_base(make_video, tmp_path):
    info, _ = read(make_video(tmp_path / "a.mp4", n=9))
    assert info.n_frames == 9
    assert info.audio_path is None
    assert (Fraction(1, 25) / info.time_base).denominator == 1


def test_ntsc_rate_is_exact(make_video, tmp_path):
    info, frames = read(make_video(tmp_path / "a.mp4", rate=NTSC))
    assert info.frame_rate == NTSC
    assert [f.pts_seconds for f in frames] == [i / NTSC for i in range(12)]


def test_variable_frame_rate_keeps_its_times(make_video, tmp_path):
    times = [0, 1, 2, 7, 8, 30, 31, 90]
    path = make_video(tmp_path / "a.mp4", n=8, pts=times, time_base=Fraction(1, 90), options={"bf": "2"})
    _, frames = read(path)
    assert [f.pts_seconds for f in frames] == [Fraction(t, 90) for t in times]


def test_times_count_from_the_streams_start(make_video, tmp_path):
    path = make_video(tmp_path / "a.mkv", n=5, pts=[50, 51, 52, 53, 54])
    _, frames = read(path)
    assert [f.pts_seconds for f in frames] == [Fraction(i, 25) for i in range(5)]


def test_missing_timestamps_follow_the_frame_rate(make_video, tmp_path):
    path = make_video(tmp_path / "a.h264", n=6, options={"bf": "0"})
    info, frames = read(path)
    steps = {b.pts_seconds - a.pts_seconds for a, b in itertools.pairwise(frames)}
    assert len(frames) == 6
    assert frames[0].pts_seconds == 0
    assert len(steps) == 1
    assert min(steps) > 0
    assert info.n_frames is None or info.n_frames > 0


@pytest.mark.parametrize(
    ("degrees", "mirrored", "expected"),
    [
        (0, False, lambda a: a),
        (90, False, lambda a: np.rot90(a, 1)),
        (180, False, lambda a: np.rot90(a, 2)),
        (-90, False, lambda a: np.rot90(a, -1)),
        (0, True, lambda a: a[:, ::-1]),
        (90, True, lambda a: np.rot90(a, 1)[:, ::-1]),
    ],
)
def test_display_matrix_is_applied(make_video, tmp_path, degrees, mirrored, expected):
    art = np.zeros((32, 48, 3), np.uint8)
    art[:16, :24], art[:16, 24:], art[16:, :24], art[16:, 24:] = (250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)
    path = make_video(tmp_path / "a.mp4", n=2, size_hw=(32, 48), pictures=[art, art], rotation=(degrees, mirrored))
    info, frames = read(path)
    wanted = expected(art)
    assert info.size_hw == wanted.shape[:2] == frames[0].size_hw
    assert np.abs(frames[1].rgb.astype(int) - wanted).mean() < 12


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "size_hw", "tolerance"),
    [
        ("ffv1", "yuv420p", (47, 63), 2),
        ("ffv1", "yuv420p10le", (48, 64), 2),
        ("ffv1", "gray", (47, 63), 0),
        ("ffv1", "gray16le", (48, 64), 1),
        ("ffv1", "yuva420p", (48, 64), 2),
        ("ffv1", "bgra", (33, 35), 0),
        ("libx264", "yuv420p10le", (48, 64), 3),
        ("libx264", "yuv444p", (47, 63), 3),
        ("libx264", "gray", (48, 64), 3),
        ("mjpeg", "yuvj422p", (47, 63), 4),
        ("png", "rgba", (31, 33), 0),
    ],
)
def test_pixel_formats_and_odd_sizes(make_video, frame_level, tmp_path, codec, pix_fmt, size_hw, tolerance):
    options = {"crf": "4"} if codec == "libx264" else {"q": "2"}
    tags = (1, 2) if (codec, pix_fmt) == ("libx264", "gray") else None  # untagged H.264 has limited range
    name = "a.mov" if codec == "png" else "a.mkv"
    path = make_video(tmp_path / name, n=3, codec=codec, pix_fmt=pix_fmt, size_hw=size_hw, options=options, tags=tags)
    info, frames = read(path)
    assert info.size_hw == size_hw
    assert len(frames) == 3
    check_levels(frames, frame_level, tolerance=tolerance)


BT709, BT601 = (1, 0.2126, 0.0722), (5, 0.299, 0.114)


@pytest.mark.parametrize("matrix", [BT709, BT601])
@pytest.mark.parametrize("full", [False, True])
def test_tagged_colours_are_converted_by_their_tags(make_video, tmp_path, matrix, full):
    tag, kr, kb = matrix
    path = make_video(
        tmp_path / "a.mkv",
        n=1,
        codec="ffv1",
        pix_fmt="yuv444p",
        pictures=[_plain_yuv(120, 100, 160, tag=tag, full=full)],
        tags=(tag, 2 if full else 1),
    )
    _, frames = read(path)
    assert np.abs(frames[0].rgb[5, 5] - _rgb_of(120, 100, 160, kr, kb, full)).max() <= 2


@pytest.mark.parametrize(("size_hw", "matrix"), [((48, 64), BT601), ((720, 1280), BT709)])
def test_untagged_colours_go_by_size(make_video, tmp_path, size_hw, matrix):
    yuv = _plain_yuv(120, 100, 160, tag=2, full=False, size_hw=size_hw)
    path = make_video(tmp_path / "a.mkv", n=1, codec="ffv1", size_hw=size_hw, pix_fmt="yuv444p", pictures=[yuv])
    _, frames = read(path)
    assert np.abs(frames[0].rgb[5, 5] - _rgb_of(120, 100, 160, *matrix[1:], False)).max() <= 2


def _plain_yuv(y: int, u: int, v: int, *, tag: int, full: bool, size_hw=(48, 64)) -> av.VideoFrame:
    frame = av.VideoFrame(size_hw[1], size_hw[0], "yuv444p")
    for plane, value in zip(frame.planes, (y, u, v), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = tag, 2 if full else 1
    return frame


def _rgb_of(y: int, u: int, v: int, kr: float, kb: float, full: bool) -> np.ndarray:
    """ITU-T H.273, equations of the matrix coefficients."""
    luma = y / 255 if full else (y - 16) / 219
    cb, cr = ((c - 128) / (255 if full else 224) for c in (u, v))
    red, blue = luma + 2 * (1 - kr) * cr, luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip([red, green, blue], 0, 1) * 255


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.h264", "a.avi"])
@pytest.mark.parametrize(("start", "duration"), [(0.2, 0.32), (0.5, None), (1.0, 0.04), (0, 0.4), (1.5, 10)])
def test_part_is_the_slice_of_the_whole(make_video, tmp_path_factory, name, start, duration):
    folder = tmp_path_factory.getbasetemp()
    path = folder / f"part_{name}"
    if not path.exists():
        make_video(path, n=50, options={"bf": "2", "g": "12", "sc_threshold": "0"})
    _, whole = read(path)
    end = 1e9 if duration is None else start + duration
    wanted = [f for f in whole if start - 1e-9 <= f.pts_seconds < end - 1e-9]
    info, part = read(path, start_seconds=start, duration_seconds=duration)
    assert [f.pts_seconds for f in part] == [f.pts_seconds for f in wanted]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(part, wanted, strict=True))
    assert info.n_frames is None or abs(info.n_frames - len(wanted)) <= 3


def test_part_of_a_part_that_starts_between_frames(make_video, tmp_path):
    _, frames = read(make_video(tmp_path / "a.mp4", n=30), start_seconds=0.41, duration_seconds=0.1)
    assert [f.pts_seconds for f in frames] == [Fraction(i, 25) for i in (11, 12)]


def test_threads_do_not_change_the_frames(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", n=20)
    one, three, every = (read(path, threads=n)[1] for n in (1, 3, 0))
    assert len(one) == len(three) == len(every) == 20
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(one, three, strict=True))


def test_frames_are_freed_as_they_are_read(make_video, tmp_path):
    """Without the garbage collector's help: long and large videos must not pile up."""
    path = make_video(tmp_path / "a.mp4", n=30, size_hw=(270, 480), rotation=(180, False))
    source = open_source(path)
    gc.collect()
    gc.disable()
    try:
        alive = [sum(type(o) is av.VideoFrame for o in gc.get_objects()) for _ in source]
    finally:
        gc.enable()
    assert max(alive) <= 6


def test_sound_is_named(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", audio="aac")
    assert open_source(path).info.audio_path == str(path)


def test_given_frame_rate_replaces_that_of_the_file(make_video, tmp_path):
    source = open_source(make_video(tmp_path / "a.mp4"), frame_rate=29.97)
    assert source.info.frame_rate == NTSC
    source.close()


@pytest.mark.parametrize(("form", "codec"), [("matroska", "libx264"), ("yuv4mpegpipe", "rawvideo")])
def test_standard_input(make_video, frame_level, tmp_path, monkeypatch, form, codec):
    path = make_video(tmp_path / "a.bin", n=5, codec=codec, form=form)
    stdin = SimpleNamespace(buffer=io.BufferedReader(_OneWay(path.read_bytes())))
    monkeypatch.setattr("sys.stdin", stdin)
    info, frames = read("-")
    assert (info.name, info.n_frames, info.path) == ("stdin", None, "-")
    assert [f.pts_seconds for f in frames] == [Fraction(i, 25) for i in range(5)]
    check_levels(frames, frame_level)


class _OneWay(io.RawIOBase):
    """Bytes that can be read once, as those of a pipe."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._data.readinto(buffer)


def test_network_stream(make_video, frame_level, tmp_path):
    make_video(tmp_path / "a.mkv", n=6)
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: handler(*a, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.mkv"
        info, frames = read(address)
        server.shutdown()
    assert info.path == address
    assert info.audio_path is None
    assert info.name.endswith("a.mkv")
    check_levels(frames, frame_level)
    assert len(frames) == 6


def write_images(folder: Path, names: list[str], frame_level) -> None:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), np.full((20, 30, 3), frame_level(i), np.uint8))


def test_images_in_natural_order(tmp_path, frame_level):
    names = ["frame_2.png", "frame_9.bmp", "frame_10.tiff", "frame_11.webp", "frame_100.ppm", "frame_101.jpg"]
    write_images(tmp_path / "clip", names, frame_level)
    (tmp_path / "clip" / "notes.txt").write_text("no image")
    info, frames = read(tmp_path / "clip")
    assert (info.name, info.size_hw, info.frame_rate, info.n_frames) == ("clip", (20, 30), 25, 6)
    assert [f.pts_seconds for f in frames] == [Fraction(i, 25) for i in range(6)]
    check_levels(frames, frame_level)


def test_images_by_pattern_rate_and_part(tmp_path, frame_level):
    write_images(tmp_path / "clip", [f"{i}.png" for i in range(12)], frame_level)
    info, frames = read(f"{tmp_path}/clip/*.png", frame_rate=10, start_seconds=0.3, duration_seconds=0.4)
    assert (info.name, info.frame_rate, info.n_frames) == ("clip", 10, 4)
    assert [f.pts_seconds for f in frames] == [Fraction(i, 10) for i in (3, 4, 5, 6)]
    check_levels(frames, frame_level, first=3)


@pytest.mark.parametrize("name", ["grey16.png", "grey16.tif", "alpha.png", "grey.png"])
def test_deep_grey_and_alpha_images(tmp_path, name):
    shapes = {
        "grey16": np.full((20, 30), 100 * 257, np.uint16),
        "alpha": np.full((20, 30, 4), (100, 100, 100, 7), np.uint8),
        "grey": np.full((20, 30), 100, np.uint8),
    }
    assert cv2.imwrite(str(tmp_path / name), shapes[name.split(".")[0]])
    _, frames = read(tmp_path / name)
    assert len(frames) == 1
    assert np.abs(frames[0].rgb.astype(int) - 100).max() <= 1


def test_images_are_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 200), np.uint8))
    _, frames = read(tmp_path / "red.png")
    assert frames[0].rgb[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("options", [{"start_seconds": -1}, {"duration_seconds": 0}, {"start_seconds": float("nan")}])
def test_impossible_part(make_video, tmp_path, options):
    path = make_video(tmp_path / "a.mp4", n=2)
    with pytest.raises(SettingError, match=r"(start|duration)_seconds=.*; expected seconds"):
        open_source(path, **options)


def test_start_beyond_the_end(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", n=5)
    with pytest.raises(SourceError, match=r"no frame from 7 s on; expected a start before .*; lower start_seconds"):
        open_source(path, start_seconds=7)


@pytest.mark.parametrize("rate", [0, -5, "fast", float("inf")])
def test_impossible_rate(tmp_path, frame_level, rate):
    write_images(tmp_path / "clip", ["a.png"], frame_level)
    with pytest.raises(SettingError, match=r"frame rate .*; expected a number .* above 0"):
        open_source(tmp_path / "clip", frame_rate=rate)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "count"), [("motorway_960x540", 221), ("motorway_cars_1280x720", 38)])
def test_real_videos(shared, name, count):
    source = open_source(shared / "data" / "video" / f"{name}.mp4", threads=1)
    times = [f.pts_seconds for f in source]
    assert times == [Fraction(i, 25) for i in range(count)]
    assert source.info.n_frames == count
