"""Uploads: what is refused and when, and that nothing is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from browsers import needs
from ui.conftest import SIZE, square
from ui.pages import Page, files_in

pytestmark = needs("starlette", "uvicorn", "httpx2")


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/x.mp4", "..\\..\\x.mp4", "/tmp/x.mp4", "a\x00b.mp4", "rtsp://x/y.mp4", "x" * 3000 + ".mp4"],
)
def test_the_name_of_a_file_is_no_path(page: Page, clip: Path, tmp_path: Path, name: str) -> None:
    video = page.upload(clip, name=name).json()
    assert not set("/\\\0:") & set(video["name"])
    assert len(video["name"]) <= 255
    stored = files_in(tmp_path)
    assert len(stored) == 1
    assert next(iter(stored)).endswith("videos/1/video")


@pytest.mark.parametrize(
    "name", ["IMG 0001 (1).MOV", "Фильм – 日本 🎬.mkv", "it's \u202f50% [a] & <b>.mp4", "-rf.mkv", f"{'x' * 251}.mp4"]
)
def test_the_name_of_a_file_is_shown_as_it_is(page: Page, clip: Path, name: str) -> None:
    video = page.upload(clip, name=name).json()
    assert video["name"] == name
    assert page.client.get(f"/api/videos/{video['id']}").content == clip.read_bytes()


@pytest.mark.parametrize(
    ("name", "codec", "size_hw"),
    [
        ("a.h264", "libx264", SIZE),
        ("a.m4v", "mpeg4", SIZE),
        ("a.mpg", "mpeg1video", SIZE),
        ("a.dv", "dvvideo", (576, 720)),
    ],
)
def test_streams_without_a_container_are_videos(
    page: Page, tmp_path: Path, name: str, codec: str, size_hw: tuple[int, int]
) -> None:
    forms = {"a.mpg": "mpeg1video"}
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / name
    with av.open(str(path), "w", format=forms.get(name, path.suffix[1:])) as container:
        stream = container.add_stream(codec, rate=25, width=size_hw[1], height=size_hw[0], pix_fmt="yuv420p")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(square(0, size_hw=size_hw), format="rgb24")))
        container.mux(stream.encode(None))
    answer = page.upload(path)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["height"], answer.json()["width"], answer.json()["frame_rate"]) == (*size_hw, 25)


def test_ten_gigabytes_are_refused_before_they_are_stored(page: Page, tmp_path: Path) -> None:
    refused = page.post("/api/videos", {"name": "big.mp4", "size": 10 << 30})
    assert refused.status_code == 413
    assert refused.json()["error"].startswith("big.mp4 has 10.0 GB; expected at most 2.0 GB; cut it, or start the page")
    assert files_in(tmp_path) == set()


def test_more_bytes_than_were_announced_are_refused(page: Page, clip: Path, tmp_path: Path) -> None:
    announced = page.post("/api/videos", {"name": "small.mp4", "size": 100}).json()
    answer = page.client.put(f"/api/videos/{announced['id']}", content=clip.read_bytes())
    assert answer.status_code == 413
    said = answer.json()["error"]
    assert said == "more bytes of small.mp4 came than were announced; expected 100 bytes; send it again with its size"
    assert files_in(tmp_path) == set()
    assert page.client.put(f"/api/videos/{announced['id']}", content=b"").status_code == 404, "used up"


def test_an_upload_that_is_cut_off_leaves_nothing(page: Page, clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    announced = page.post("/api/videos", {"name": "half.mp4", "size": len(data)}).json()
    answer = page.client.put(f"/api/videos/{announced['id']}", content=data[: len(data) // 2])
    assert answer.status_code == 400
    assert "half.mp4 was cut off" in answer.json()["error"]
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"words", "a.txt is no video (its name ends in '.txt')"),
        ("a.mp4", b"words that are no video, by far", "a.mp4 is no video (it does not begin as one)"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "does not begin as one"),
        ("a.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", "does not begin as one"),
        ("a.mp4", b"\0\0\0\x20ftypisom" + bytes(500), "a.mp4"),
        ("a.mp4", b"", "it is empty"),
    ],
)
def test_what_is_no_video_is_refused(page: Page, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    answer = page.post("/api/videos", {"name": name, "size": len(data)})
    if answer.status_code == 200:
        answer = page.client.put(f"/api/videos/{answer.json()['id']}", content=data)
    assert answer.status_code == 415
    assert words in answer.json()["error"]
    assert str(tmp_path) not in answer.json()["error"], "the file is called by its name"
    assert files_in(tmp_path) == set()
    assert page.client.get("/api/state").json()["videos"] == []


def test_a_full_disk_is_said_and_leaves_nothing(
    page: Page, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.ui import videos

    class Usage:
        free = 1 << 20

    monkeypatch.setattr(videos.shutil, "disk_usage", lambda _: Usage)
    refused = page.post("/api/videos", {"name": "a.mp4", "size": 5 << 20})
    assert refused.status_code == 507
    assert "the disk has 1.0 MB left" in refused.json()["error"]
    monkeypatch.undo()

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    opened = Path.open

    def open_full(path: Path, *args: Any, **options: Any) -> Any:
        file = opened(path, *args, **options)
        return Full(file) if path.name == "video" else file

    monkeypatch.setattr(Path, "open", open_full)
    answer = page.upload(clip)
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the disk is full or cannot be written; expected room for it")
    assert files_in(tmp_path) == set()


def test_a_list_of_files_in_small_pieces_is_no_video_either(page: Page, tmp_path: Path) -> None:
    data = b"ffconcat version 1.0\nfile /etc/passwd\n"
    announced = page.post("/api/videos", {"name": "a.mp4", "size": len(data)}).json()
    pieces = (data[i : i + 3] for i in range(0, len(data), 3))
    answer = page.client.put(f"/api/videos/{announced['id']}", content=pieces)
    assert answer.status_code == 415
    assert "does not begin as one" in answer.json()["error"]
    assert files_in(tmp_path) == set()


def test_nothing_is_stored_outside_the_session(
    page: Page, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.chdir(elsewhere)
    video = page.upload(clip).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"]}).json())
    assert job["state"] == "done"
    assert page.client.get(f"/files/{job['id']}/report.zip").status_code == 200
    assert list(elsewhere.iterdir()) == []
