"""Which frames come before one, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtween.datasets.cityscapes import frames_before, split_number


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("stem", "found"),
    [
        ("aachen_000001_000019_leftImg8bit", ("aachen_000001_", 19)),
        ("0016E5_07959", ("0016E5_", 7959)),
        ("7", ("", 7)),
        ("frame", None),
    ],
)
def test_recording_and_number(stem: str, found: tuple[str, int] | None) -> None:
    assert split_number(stem) == found


def test_numbers_count_on_by_one_and_keep_their_width(tmp_path: Path) -> None:
    image = tmp_path / "ulm_000003_000019_leftImg8bit.png"
    before = frames_before(image, 3)
    assert before is not None
    assert [p.name[11:17] for p in before] == ["000016", "000017", "000018"]
    assert {p.parent for p in before} == {tmp_path}


def test_every_second_number_where_a_recording_has_only_those(tmp_path: Path) -> None:
    folder = touch(tmp_path, *(f"0016E5_{n:05d}.png" for n in range(7959, 7971, 2)))
    before = frames_before(folder / "0016E5_07969.png", 2)
    assert before == [folder / "0016E5_07965.png", folder / "0016E5_07967.png"]


def test_a_gap_is_no_other_rate(tmp_path: Path) -> None:
    folder = touch(tmp_path, *(f"x_{n:03d}.png" for n in (5, 6, 7, 9)))
    before = frames_before(folder / "x_009.png", 2)
    assert before == [folder / "x_007.png", folder / "x_008.png"]


def test_a_single_picture_of_cityscapes_has_its_predecessors_among_the_sequences(tmp_path: Path) -> None:
    image = touch(tmp_path / "leftImg8bit/val/ulm", "ulm_000000_000019_leftImg8bit.png") / (
        "ulm_000000_000019_leftImg8bit.png"
    )
    folder = touch(tmp_path / "leftImg8bit_sequence/val/ulm", "ulm_000000_000018_leftImg8bit.png")
    assert frames_before(image, 1) == [folder / "ulm_000000_000018_leftImg8bit.png"]


def test_before_the_first_number_there_is_no_file(tmp_path: Path) -> None:
    folder = touch(tmp_path, "x_000.png", "x_001.png")
    before = frames_before(folder / "x_001.png", 2)
    assert before is not None
    assert [p.is_file() for p in before] == [False, True]
    assert frames_before(tmp_path / "frame.png", 1) is None
