"""The picture of a network's worst frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from segtween.cli import app
from segtween.errors import SettingError
from segtween.interfaces import Described
from segtween.labels import CAMVID11
from segtween.reports.figures.failures import Drives, Failure, failure_figure
from segtween.types import Rgb

SMALL = (96, 128)


class AllRoad:
    """Says road everywhere."""

    labels = CAMVID11

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        scores = np.zeros((len(CAMVID11), rgb.shape[0] // 4, rgb.shape[1] // 4), np.float32)
        scores[CAMVID11.names.index("road")] = 5
        return scores

    def describe(self) -> Described:
        return {"name": "all road"}


def one(failure: Failure) -> float:
    return float((failure.predicted == failure.truth).sum() / (failure.truth != 255).sum())


@pytest.mark.slow
def test_rows_are_the_lowest_of_each_drive_the_lowest_first() -> None:
    page, shown = failure_figure(AllRoad(), Drives([1, 2], frames=2, size_hw=SMALL), rows=2, width=100)
    assert sorted(f.seed for f in shown) == [1, 2]
    assert shown[0].miou <= shown[1].miou
    road = CAMVID11.names.index("road")
    for failure in shown:
        assert (failure.predicted == road).all()
        present = np.unique(failure.truth[failure.truth != 255])
        assert failure.miou == pytest.approx(one(failure) / len(present), abs=1e-6), "only road has an overlap"
    assert page.shape[1] > 4 * 100
    assert len(failure_figure(AllRoad(), Drives([1, 2], frames=1, size_hw=SMALL), rows=1, width=100)[1]) == 1


def test_what_is_right_is_not_marked() -> None:
    from segtween.reports.figures import panels
    from segtween.reports.figures.shots import StreetShots

    shots = StreetShots(1, CAMVID11, size_hw=SMALL)
    (shot,) = shots.read(0, 0)
    assert shot.truth is not None
    marked = panels.judged(shot.rgb, shot.truth, shot.truth, of=CAMVID11, size_hw=SMALL)[3]
    assert (marked == marked[..., :1]).all(), "grey only"
    other = np.where(np.arange(SMALL[1]) < 64, shot.truth, np.uint8(10)).astype(np.uint8)
    half = panels.judged(shot.rgb, other, shot.truth, of=CAMVID11, size_hw=SMALL)[3]
    assert (half[:, :64] == marked[:, :64]).all()
    expected = np.where((shot.truth[:, 64:] != 255) & (shot.truth[:, 64:] != 10), True, False)
    assert ((half[:, 64:] == CAMVID11.colours[10]).all(2) == expected).all()


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(SettingError, match=r"frames: 0; expected 1 or more; give more frames"):
        Drives([1], frames=0)
    with pytest.raises(SettingError, match=r"seeds: 0; expected 1 or more; give more seeds"):
        Drives([])
    with pytest.raises(SettingError, match=r"rows: 0; expected 1 or more; give more rows"):
        failure_figure(AllRoad(), Drives([1], size_hw=SMALL), rows=0)


def test_command_writes_the_page(tmp_path: Path) -> None:
    model = tmp_path / "road.py"
    model.write_text(
        "import numpy as np\n"
        "def scores(rgb):\n"
        "    s = np.zeros((11, rgb.shape[0] // 4, rgb.shape[1] // 4), np.float32)\n"
        "    s[3] = 5\n"
        "    return s\n"
    )
    out = tmp_path / "failures.png"
    words = ["--seeds", "1,2", "--frames", "1", "--size", "128x96", "--panel", "100", "--label-set", "camvid11"]
    done = CliRunner().invoke(app, ["figure", "failures", *words, "--model", f"{model}:scores", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert cv2.imread(str(out)).shape[1] > 400
    again = CliRunner().invoke(app, ["figure", "failures", *words, "--model", f"{model}:scores", "-o", str(out)])
    assert again.exit_code == 2
    assert "give --overwrite to replace it" in " ".join(again.output.split())
