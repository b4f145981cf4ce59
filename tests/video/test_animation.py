"""Animated WebP: what is written comes back, at its rate, and under its name only when it is whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from segtween.errors import SettingError, SinkError
from segtween.video.animation import AnimationWriter


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a WebP file (RIFF): name and content."""
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    found, at = [], 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def test_pictures_come_back_at_their_rate(tmp_path: Path) -> None:
    writer = AnimationWriter(tmp_path / "a.webp", frame_rate=Fraction(10), quality=90)
    for i in range(4):
        writer.write(np.full((40, 60, 3), 50 + 40 * i, np.uint8))
    assert not (tmp_path / "a.webp").exists()
    writer.close()
    found = chunks((tmp_path / "a.webp").read_bytes())
    names = [name for name, _ in found]
    assert names[0] == b"VP8X"
    assert names.count(b"ANMF") == 4
    (loops,) = (int.from_bytes(content[4:6], "little") for name, content in found if name == b"ANIM")
    assert loops == 0, "without end"
    durations = [int.from_bytes(content[12:15], "little") for name, content in found if name == b"ANMF"]
    assert durations[:3] == [100, 100, 100]
    width, height = (int.from_bytes(found[0][1][at : at + 3], "little") + 1 for at in (4, 7))
    assert (width, height) == (60, 40)
    assert [path.name for path in tmp_path.iterdir()] == ["a.webp"]


def test_one_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    writer = AnimationWriter(tmp_path / "a.webp", frame_rate=Fraction(10))
    writer.write(np.zeros((8, 8, 3), np.uint8))
    writer.abort()
    AnimationWriter(tmp_path / "b.webp", frame_rate=Fraction(10)).close()
    assert not list(tmp_path.iterdir())


def test_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r"moving picture .*a\.gif; expected a name that ends in \.webp; give a\.webp"
    ):
        AnimationWriter(tmp_path / "a.gif", frame_rate=Fraction(10))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="cannot be written"):
        AnimationWriter(tmp_path / "no" / "a.webp", frame_rate=Fraction(10))


def test_a_disk_that_is_full_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = AnimationWriter(tmp_path / "a.webp", frame_rate=Fraction(10))
    writer.write(np.zeros((8, 8, 3), np.uint8))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segtween.video.staging.os.replace", full)
    with pytest.raises(SinkError, match="no space is left"):
        writer.close()
    assert not list(tmp_path.iterdir())
