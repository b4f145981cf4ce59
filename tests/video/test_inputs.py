"""What an input stands for, in which order, under which name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.errors import SettingError, SourceError
from segtween.texttable import natural_key
from segtween.video import open_sources
from segtween.video.inputs import as_frame_rate, as_seconds, clip_name, kind_of, split_clips, unique_names


@given(st.lists(st.integers(0, 10_000), unique=True))
def test_numbers_sort_as_numbers(numbers):
    names = [f"frame_{n}.png" for n in numbers]
    assert sorted(names, key=natural_key) == [f"frame_{n}.png" for n in sorted(numbers)]


def test_digits_that_are_no_numbers_are_letters():
    assert sorted(["10²", "2²", "2", "²"], key=natural_key) == ["2", "2²", "10²", "²"]


@given(st.lists(st.sampled_from(["a", "A", "b", "a-2", "clip"])))
def test_names_become_unique_and_stay_in_order(names):
    unique = unique_names(names)
    assert len({n.lower() for n in unique}) == len(names)
    assert all(u == n or u.startswith(f"{n}-") for u, n in zip(unique, names, strict=True))


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        ("-", "stdin", "stdin"),
        ("camera:1", "camera", "camera-1"),
        ("0", "camera", "camera-0"),
        ("rtsp://user:word@cam.example:554/live?x=1", "stream", "cam.example-554-live"),
        ("udp://0.0.0.0:9", "stream", "0.0.0.0-9"),
        ("drives/a b.mp4", "file", "a-b"),
        ("clips/frames/*.png", "images", "frames"),
        ("one.jpeg", "images", "one"),
    ],
)
def test_kind_and_name(spec, kind, name):
    assert (kind_of(spec), clip_name(spec)) == (kind, name)


def test_unknown_scheme():
    with pytest.raises(SourceError, match=r"scheme 'gopher'; expected a file, a folder, or one of rtsp://"):
        kind_of("gopher://x/y")


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30_000, 1001)),
        (23.976, Fraction(24_000, 1001)),
        (59.94, Fraction(60_000, 1001)),
        (12.5, Fraction(25, 2)),
        ("24000/1001", Fraction(24_000, 1001)),
        (Fraction(1, 3), Fraction(1, 3)),
    ],
)
def test_frame_rates_are_fractions(value, rate):
    assert as_frame_rate(value) == rate


def test_seconds_are_what_was_written():
    assert as_seconds(0.2, name="start_seconds") == Fraction(1, 5)


def _image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    return path


def test_folder_of_videos_is_its_videos(make_video, tmp_path):
    for name in ("b10.mp4", "b9.mp4"):
        make_video(tmp_path / name, n=2)
    (tmp_path / "readme.txt").write_text("x")
    _image(tmp_path / "cover.png")
    found = open_sources([tmp_path])
    assert [n.name for n in found] == ["b9", "b10"]
    assert [sum(1 for _ in n.open()) for n in found] == [2, 2]


def test_pattern_of_videos(make_video, tmp_path):
    for name in ("a1.mp4", "a2.mp4", "b.mp4"):
        make_video(tmp_path / name, n=2)
    assert [n.name for n in open_sources([f"{tmp_path}/a*.mp4"])] == ["a1", "a2"]


def test_same_names_get_numbers_and_one_bad_input_stops_nobody(make_video, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "empty").mkdir()
    good = [make_video(tmp_path / "clip.mp4", n=2), make_video(tmp_path / "x" / "clip.mkv", n=3)]
    found = open_sources([good[0], tmp_path / "gone.mp4", tmp_path / "empty", "gopher://x", good[1]])
    assert [n.name for n in found] == ["clip", "gone", "empty", "gopher-x", "clip-2"]
    counts = []
    for named in found:
        try:
            source = named.open()
        except SourceError:
            counts.append(None)
        else:
            counts.append(sum(1 for _ in source))
            assert source.info.name == named.name
    assert counts == [2, None, None, None, 3]


def test_image_files_of_one_folder_are_one_clip(tmp_path):
    files = [_image(tmp_path / "seq" / f"{i}.png") for i in (1, 2, 10, 3)]
    other = _image(tmp_path / "other" / "lone.png")
    found = open_sources([*files[:3], other, files[3]])
    assert [n.name for n in found] == ["seq", "lone"]
    assert found[0].open().info.n_frames == 4


def test_options_reach_every_clip(make_video, tmp_path):
    make_video(tmp_path / "a.mp4", n=10)
    assert sum(1 for _ in open_sources([tmp_path], start_seconds=0.2)[0].open()) == 5


def test_no_input():
    with pytest.raises(SettingError, match="no input; expected at least one"):
        open_sources([])


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert split_clips(".") == ["a.mp4"]
    with pytest.raises(SourceError, match="an input without a name; expected a video, folder or stream"):
        split_clips("")
