"""Heavy traffic: who crosses the road; and that drives without it are as they were."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
import pytest

from segtween.errors import SettingError
from segtween.street import Drives, StreetClip, write_camvid
from segtween.street.clip import Density
from segtween.street.crossing import Box, Crossing
from segtween.street.drive import Drive
from segtween.street.path import CHUNK, Path
from segtween.street.traffic import Traffic
from segtween.street.world import LANE, Street


def traffic(seed: int, *, side: int = 1, heavy: bool = True) -> Traffic:
    path = Path(seed)
    street = Street(seed, path, foliage="green", side=side, heavy=heavy)
    return Traffic(seed, path, street, Drive(seed, path, street))


def crossings(of: Traffic, seconds: float) -> list[Crossing]:
    of.at(seconds)
    assert of._plans is not None
    s = of._drive.at(seconds).s
    return list(of._plans.between(s, s + 80))


@pytest.mark.parametrize(
    ("seed", "side", "movers", "places", "driven", "faces"),
    [(3, 1, 154, 16654.34, 172.984, 46182), (640, -1, 209, 36657.27, 111.218, 19268),
     (801, 1, 126, 26432.6, 169.557, 60018)],
)  # fmt: skip
def test_normal_drives_are_those_that_were_measured(
    seed: int, side: int, movers: int, places: float, driven: float, faces: int
) -> None:
    of = traffic(seed, side=side, heavy=False)
    cast = of.at(20.0)
    assert len(cast.instances) == movers
    assert np.sum([item.matrix for item in cast.instances]) == pytest.approx(places, abs=0.01)
    assert of._drive.at(20.0).s == pytest.approx(driven, abs=0.001)
    assert sum(len(of._street.piece(index).mesh) for index in range(8)) == faces


def test_many_cross_from_both_sides_at_different_speeds() -> None:
    people, others = list[Crossing](), list[Crossing]()
    for seed in (902, 907):
        of = traffic(seed)
        for seconds in (0.0, 1.0, 2.0):
            found = crossings(of, seconds)
            on_road = [c for c in found if abs((c.at(seconds) or (0, 99))[1]) < of._street.half]
            people += [c for c in on_road if c.kind == "person"]
            others += [c for c in on_road if c.kind != "person"]
    assert len(people) >= 12
    assert len(others) >= 4
    for group, slow, fast in ((people, 1.5, 1.6), (others, 6.0, 6.0)):
        assert {c.way for c in group} == {1, -1}
        assert min(c.speed for c in group) < slow
        assert max(c.speed for c in group) > fast


@pytest.mark.slow
@pytest.mark.parametrize("seed", [900, 905, 911])
def test_nobody_who_crosses_meets_the_camera_or_oncoming_cars(seed: int) -> None:
    of = traffic(seed, side=-1)
    checked = 0
    for seconds in np.arange(0.0, 8.0, 0.25):
        here, lane = of._drive.at(float(seconds)), -LANE
        car = Box(here.s - 2.0, here.s + 2.0, lane - 0.8, lane + 0.8)
        oncoming = of._stream(here.s - 10, here.s + 90, 24.0, -here.oncoming, 1, of._busy)
        cars = [car, *(Box(s - 2.0, s + 2.0, -lane - 0.8, -lane + 0.8) for _, s in oncoming)]
        for crossing in crossings(of, float(seconds)):
            box = crossing.box(float(seconds))
            if box is not None and abs(crossing.at(float(seconds))[1]) < of._street.half - 0.7:  # type: ignore[index]
                checked += 1
                assert not any(box.meets(car) for car in cars)
    assert checked > 30


def test_plans_depend_on_the_piece_and_not_on_when_it_came_into_view() -> None:
    along, at_once = traffic(902), traffic(902)
    for seconds in np.arange(0.0, 6.0, 0.5):
        along.at(float(seconds))
    assert along._plans is not None
    assert at_once._plans is not None
    at_once.at(6.0)
    assert along._plans._planned[4] == at_once._plans._planned[4]
    assert along._plans._planned[4]


@pytest.mark.slow
def test_plans_are_forgotten_behind_the_camera() -> None:
    of = traffic(903)
    for seconds in range(0, 90, 5):
        of.at(float(seconds))
        of._drive.forget(float(seconds))
    assert of._plans is not None
    assert len(of._plans._planned) <= (96 + 120 + 2 * CHUNK) / CHUNK + 1
    assert 2 not in of._plans._planned


def test_a_crossing_goes_from_side_to_side() -> None:
    walk = Crossing("person", 1, s=50.0, way=-1, start=2.0, speed=1.5, wide=12.0, drift=6.0)
    assert walk.at(0.0) == (50.0, 6.0, -np.pi / 2, 0.0, 0.0)
    s, t, turn, gone, moving = walk.at(6.0) or pytest.fail("people stay")
    assert (s, t, gone, moving) == (53.0, 0.0, 6.0, 1.0)
    assert turn == pytest.approx(-np.pi / 2 + np.arctan(1.5))  # towards greater s, from the left: half way, the most
    assert (walk.at(60.0) or (0, 0))[:2] == (56.0, -6.0)
    drives = Crossing("vehicle", 2, s=50.0, way=1, start=1.0, speed=10.0, wide=100.0)
    assert drives.at(0.9) is None
    assert drives.at(11.1) is None
    assert drives.box(6.0) == Box(48.8, 51.2, -3.2, 3.2)


@pytest.mark.slow
def test_heavy_clips_repeat_and_differ_from_normal_ones() -> None:
    def clip(density: Density, start: int = 0) -> list[bytes]:
        frames = StreetClip(907, size_hw=(64, 96), frames=2, start=start, traffic=density)
        return [frame.rgb.tobytes() for frame in frames]

    first = clip("heavy")
    assert clip("normal")[0] != first[0]
    assert clip("heavy", start=1)[0] == first[1]


@pytest.mark.slow
def test_the_density_is_checked_and_recorded(tmp_path: FilePath) -> None:
    with pytest.raises(SettingError, match=r"traffic 'dense'.*normal, heavy"):
        StreetClip(1, traffic="dense")  # type: ignore[arg-type]
    write_camvid(tmp_path / "s", Drives(seed=900, frames=1, size_hw=(48, 64), traffic="heavy"))
    assert '"traffic": "heavy"' in (tmp_path / "s" / "street.json").read_text()
    stored = next(iter(StreetClip(900, size_hw=(48, 64), frames=1, traffic="heavy")))
    import cv2

    image = cv2.imread(str(tmp_path / "s" / "val" / "S0900_00000.png"))
    assert (image[..., ::-1] == stored.rgb).all()
