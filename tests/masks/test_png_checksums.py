"""PNG files that are damaged are known before a decoder sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segtween.masks.png import has_wrong_checksum
from segtween.video.png import encode_png

WHOLE = encode_png(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))


def test_whole_files_and_other_forms_are_not_damaged() -> None:
    assert not has_wrong_checksum(memoryview(WHOLE))
    assert not has_wrong_checksum(memoryview(WHOLE + b"what follows does not count"))
    for other in (b"", b"BM" + bytes(60), b"\xff\xd8\xff" + bytes(60)):
        assert not has_wrong_checksum(memoryview(other))


@pytest.mark.parametrize("at", [12, 20, len(WHOLE) // 2, len(WHOLE) - 20, len(WHOLE) - 1])
def test_a_changed_byte_and_an_end_that_is_missing_are_damage(at: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] ^= 1
    assert has_wrong_checksum(memoryview(changed))
    assert has_wrong_checksum(memoryview(WHOLE[:at]))


def test_the_decoder_writes_nothing_about_a_damaged_picture(tmp_path: Path) -> None:
    """In a process of its own: libpng writes past Python."""
    damaged = bytearray(WHOLE)
    damaged[len(WHOLE) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(damaged)
    code = """
import sys
from pathlib import Path
from segtween.datasets.reading import read_rgb
from segtween.errors import SegtweenError
from segtween.video.images import read_image
for read in (read_image, read_rgb):
    try:
        read(Path(sys.argv[1]))
    except SegtweenError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert ["cannot be read (it is damaged)" in line for line in done.stdout.splitlines()] == [True, False]
