"""The picture of the frames on which composed flow loses most."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from segtween.cli import app
from segtween.errors import SettingError
from segtween.interfaces import Described
from segtween.labels import CAMVID11
from segtween.reports.figures.failures import Drives
from segtween.reports.figures.losses import loss_figure
from segtween.settings import Settings, change
from segtween.types import Rgb

SMALL = (96, 128)
DRIVES = Drives([1, 2], frames=4, rate=Fraction(15), size_hw=SMALL)


class ByBrightness:
    """A class for each of eleven steps of brightness: what moves in the picture moves in its labels."""

    labels = CAMVID11

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        grey = rgb.mean(2)[::4, ::4] * 10 / 255
        return -((np.arange(11, dtype=np.float32)[:, None, None] - grey) ** 2).astype(np.float32)

    def describe(self) -> Described:
        return {"name": "by brightness"}


@pytest.mark.slow
def test_rows_come_just_before_a_key_frame_and_the_largest_fall_first() -> None:
    settings = Settings().at(1)
    page, shown = loss_figure(ByBrightness(), settings, DRIVES, rows=2, width=100)
    assert sorted(loss.seed for loss in shown) == [1, 2]
    assert shown[0].fall >= shown[1].fall
    assert all(loss.index % 2 == 1 for loss in shown)
    assert any((loss.alone != loss.matched).any() for loss in shown), "matching changes something"
    assert page.shape[1] > 5 * 100
    assert len(loss_figure(ByBrightness(), settings, DRIVES, rows=1, width=100)[1]) == 1


def test_what_it_cannot_show_is_refused() -> None:
    with pytest.raises(SettingError, match=r"rows: 0; expected 1 or more"):
        loss_figure(ByBrightness(), Settings(), DRIVES, rows=0)
    with pytest.raises(SettingError, match=r"4 frames with interval=4; expected 5 or more"):
        loss_figure(ByBrightness(), Settings(), DRIVES)
    for changes in ({"match": "none"}, {"mode": "bidirectional"}):
        with pytest.raises(SettingError, match=r"without matching by appearance, or bidirectional"):
            loss_figure(ByBrightness(), change(Settings().at(1), **changes), DRIVES)


@pytest.mark.slow
def test_command_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "losses.png"
    words = f"figure losses --seeds 1 --frames 2 --interval 1 --size 128x96 --traffic heavy --panel 100 -o {out}"
    said = CliRunner().invoke(app, words.split())
    assert said.exit_code == 0, said.output
    assert out.read_bytes().startswith(b"\x89PNG")
