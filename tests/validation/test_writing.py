"""Files and folders that have their name only when they are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtween.validation import whole_file, whole_folder, write_whole


def write_half(path: Path) -> None:
    path.write_text("half")
    raise ValueError("no other half")


@pytest.mark.parametrize("content", [b"new\n", "new\n"])
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old\n")
    write_whole(path, content)
    assert path.read_bytes() == b"new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="half"), whole_file(path) as part:
        write_half(part)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path, writer=".0") as first:
        first.write_text("first")
        with whole_file(path, writer=".1") as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_a_folder_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "made"
    with pytest.raises(ValueError, match="half"), whole_folder(folder) as part:
        write_half(part / "a")
    assert list(folder.parent.iterdir()) == []
    with whole_folder(folder) as part:
        (part / "a").write_text("whole")
        assert not folder.exists()
    assert (folder / "a").read_text() == "whole"


def test_the_folder_of_a_faster_process_stays(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with whole_folder(folder) as part:
        (part / "a").write_text("slower")
        folder.mkdir()
        (folder / "a").write_text("faster")
    assert (folder / "a").read_text() == "faster"
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_a_foreign_folder_of_that_name_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "other").write_text("theirs")
    with pytest.raises(OSError, match="not empty"), whole_folder(folder) as part:
        (part / "a").write_text("ours")
    assert [p.name for p in folder.iterdir()] == ["other"]
