"""Every bad input of a video: one line that says what was got, what was expected, what to do."""

from __future__ import annotations

import io
import socket
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from segtween.errors import SettingError, SourceError
from segtween.video import devices, open_source, open_sources


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert error.value.got
    assert error.value.expected
    assert error.value.do
    return text


def frames_until_error(path, **options) -> tuple[list[np.ndarray], str]:
    """The frames that come, and the line of the error that ends them."""
    frames: list[np.ndarray] = []
    source = open_source(path, **options)
    with pytest.raises(SourceError) as error:
        frames.extend(f.rgb for f in source)
    source.close()
    return frames, one_line(error)


def noise(n: int, size_hw: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [cv2.GaussianBlur(rng.integers(0, 255, (*size_hw, 3), dtype=np.uint8), (5, 5), 0) for _ in range(n)]


def refused(spec, match: str, **options) -> None:
    with pytest.raises(SourceError, match=match) as error:
        open_source(spec, **options)
    one_line(error)


def test_missing_file(tmp_path):
    refused(tmp_path / "gone.mp4", r"gone.mp4' does not exist; expected a video file, .*; check the path")


def test_missing_image(tmp_path):
    refused(tmp_path / "gone.png", r"gone.png' does not exist; expected a video file, .*; check the path")


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    refused(tmp_path, r"holds no images or videos; expected PNG, .*; check the path")


def test_pattern_without_files(tmp_path):
    refused(f"{tmp_path}/*.png", r"holds no images or videos; expected PNG, .*; check the path")


def test_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    refused(tmp_path / "a.mp4", r"a.mp4 is empty; expected a video file; check the file")


def test_text_file_called_mp4(tmp_path):
    (tmp_path / "a.mp4").write_text("this is not a video\n" * 50)
    refused(tmp_path / "a.mp4", r"is not a video that FFmpeg can read, .*; expected a whole video file .*; check that")


def test_text_file(tmp_path):
    (tmp_path / "a.txt").write_text("this is not a video\n" * 50)
    refused(tmp_path / "a.txt", r"a.txt (holds text|is not a video).*; expected a .*video")


def test_subtitles_only(tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n")
    refused(tmp_path / "a.srt", r"a.srt holds subtitle only; expected a video with pictures; check the file")


def test_sound_only(write_wave, tmp_path):
    refused(write_wave(tmp_path / "a.wav"), r"holds audio only; expected a video with pictures; check the file")


def test_no_frames(make_video, tmp_path):
    path = make_video(tmp_path / "a.mkv", n=1)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.avi"), "w") as out:
        out.add_stream("mpeg4", rate=25)
        out.start_encoding()
        assert source.streams.video
    refused(tmp_path / "b.avi", r"b.avi (holds no frames; expected a video with at least one frame|is not a video)")


def test_file_without_rights(make_video, tmp_path, monkeypatch):
    path = make_video(tmp_path / "a.mp4", n=1)

    def deny(*_, **__):
        raise av.error.PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", deny)
    refused(path, r"a.mp4 cannot be opened \(Permission denied\); expected a readable video; check it")


@pytest.mark.parametrize(
    ("name", "codec", "faststart"),
    [("a.mp4", "libx264", True), ("a.mp4", "mpeg4", True), ("a.mkv", "libx264", False), ("a.mkv", "ffv1", False),
     ("a.webm", "libvpx-vp9", False), ("a.avi", "mjpeg", False)],
)  # fmt: skip
@pytest.mark.parametrize("threads", [1, 2])
def test_truncated_video_gives_what_it_holds_and_one_error(make_video, tmp_path, name, codec, faststart, threads):
    path = make_video(
        tmp_path / name,
        codec=codec,
        n=40,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        options={"bf": "2", "g": "10", "crf": "20"} if codec == "libx264" else {"g": "5"},
        pictures=noise(40, (48, 64)),
        container_options={"movflags": "+faststart"} if faststart else None,
    )
    whole = [f.rgb for f in open_source(path)]
    data = path.read_bytes()
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(data[: int(len(data) * 0.7)])
    frames, text = frames_until_error(cut, threads=threads)
    assert 8 <= len(frames) < 40
    assert f"is damaged after {len(frames)} frames" in text
    assert "expected a whole video; the frames before the damage are kept" in text
    assert all(np.array_equal(a, b) for a, b in zip(frames, whole, strict=False))


def test_mp4_cut_before_its_index(make_video, tmp_path):
    path = make_video(tmp_path / "a.mp4", n=20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, r"is not a video that FFmpeg can read, or is cut off; expected a whole video file .*; check that")


@pytest.mark.parametrize("threads", [1, 2])
def test_damage_in_the_middle(make_video, tmp_path, threads):
    path = make_video(
        tmp_path / "a.mp4", n=30, size_hw=(96, 128), pictures=noise(30, (96, 128)), options={"g": "10", "bf": "0"}
    )
    whole = [f.rgb for f in open_source(path)]
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(1).integers(0, 255, 300, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    frames, text = frames_until_error(path, threads=threads)
    assert 5 <= len(frames) < 25
    assert f"damaged after {len(frames)} frames" in text
    assert all(np.array_equal(a, b) for a, b in zip(frames, whole, strict=False))


def test_frames_that_change_size(make_video, tmp_path):
    parts = [
        make_video(tmp_path / f"{i}.h264", n=4, size_hw=size, options={"bf": "0"})
        for i, size in enumerate([(48, 64), (96, 128)])
    ]
    both = tmp_path / "both.h264"
    both.write_bytes(b"".join(p.read_bytes() for p in parts))
    frames, text = frames_until_error(both)
    assert len(frames) == 4
    assert "frame 4 of" in text
    assert "is 128x96; expected 64x48 like the frames before it" in text


def test_images_of_two_sizes(tmp_path):
    for i, width in enumerate((30, 30, 32)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((20, width, 3), np.uint8))
    frames, text = frames_until_error(tmp_path)
    assert len(frames) == 2
    assert "2.png (frame 2) is 32x20; expected 30x20 like the images before it" in text


@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.bmp", "1.webp"])
@pytest.mark.parametrize("harm", ["text", "empty", "cut"])
def test_unreadable_image_is_named(tmp_path, name, harm):
    art = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "0.png"), art)
    bad = tmp_path / name
    cv2.imwrite(str(bad), art)
    data = bad.read_bytes()
    bad.write_bytes({"text": b"no image at all", "empty": b"", "cut": data[: len(data) // 2]}[harm])
    frames, text = frames_until_error(tmp_path)
    assert len(frames) == 1
    assert f"{name} cannot be read" in text
    assert "expected a whole PNG" in text


def test_no_camera():
    refused("camera:97", r"camera 97 cannot be opened \(.*\); expected .*camera.*; connect it or give a file")


def test_camera_without_number():
    refused("camera:front", r"camera 'front'; expected a camera number, as in camera:0")


def test_stream_that_refuses():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused(f"http://127.0.0.1:{port}/x.mp4", r"cannot be opened \(Connection refused\); expected a readable video")


def test_stream_that_is_silent():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            SourceError, match=r"gave no answer for 0.3 s; expected a stream that is being sent"
        ) as error:
            devices.open_stream(address, timeout_seconds=0.3)
    one_line(error)


def test_unknown_scheme():
    refused("gopher://x/y", r"has the scheme 'gopher'; expected a file, a folder, or one of rtsp://.*; correct")


def test_nothing_on_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    refused("-", r"standard input (is not a video|holds no).*; expected a .*video")


def test_text_on_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"hello\n" * 100)))
    refused("-", r"standard input is not a video that FFmpeg can read")


def test_folder_of_videos_as_one_source(make_video, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, n=1)
    refused(tmp_path, r"holds 2 videos; expected one video; give one of them")
    assert len(open_sources([tmp_path])) == 2


def test_negative_threads(make_video, tmp_path):
    with pytest.raises(SettingError, match=r"threads=-1; expected 0 \(all\) or more; correct the number"):
        open_source(make_video(tmp_path / "a.mp4", n=1), threads=-1)


def test_closed_source_stops(make_video, tmp_path):
    source = open_source(make_video(tmp_path / "a.mp4", n=9))
    seen = 0
    for _ in source:
        seen += 1
        source.close()
    assert seen == 1
