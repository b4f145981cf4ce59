"""The parts of the synthetic street: course, drive, meshes, textures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.street import kernels, models, textures
from segtween.street.drive import Drive
from segtween.street.look import look
from segtween.street.mesh import PLAIN, Material, Mesh, slot
from segtween.street.path import CHUNK, SHARPEST, Path
from segtween.street.traffic import Traffic, _two_bones
from segtween.street.world import Street


def drive(seed: int) -> Drive:
    path = Path(seed)
    return Drive(seed, path, Street(seed, path, foliage="green", side=1))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), s=st.floats(0, 3000))
def test_the_road_is_smooth_by_arc_length_and_never_turns_back(seed: int, s: float) -> None:
    path = Path(seed)
    step = np.linalg.norm(path.point(s + 0.5, 0) - path.point(s, 0))
    assert step == pytest.approx(0.5, abs=2e-3)
    _, _, heading, curve = path.at(s)
    assert abs(heading) < 1.5
    assert abs(curve) <= SHARPEST + 1e-9
    left = path.point(s, 2.0) - path.point(s, 0.0)
    assert left[0] * np.cos(heading) + left[1] * np.sin(heading) == pytest.approx(0, abs=1e-9)


def test_a_dropped_course_goes_on_as_before() -> None:
    whole, lean = Path(4), Path(4)
    for index in range(0, 60, 5):
        lean.at(index * CHUNK + 1.0)
        lean.drop_before(index)
    assert np.allclose(whole.point(60.5 * CHUNK, 1.0), lean.point(60.5 * CHUNK, 1.0))
    assert len(lean._pieces) < 10


@pytest.mark.slow
def test_drives_turn_stop_and_change_speed() -> None:
    stops, turns = 0, 0
    for seed in range(4):
        d = drive(seed)
        moments = [d.at(t) for t in np.arange(0, 90, 0.5)]
        speeds = np.array([m.v for m in moments])
        assert (np.diff([m.s for m in moments]) >= 0).all()
        assert 6 < speeds.max() < 14
        assert speeds.std() > 0.5
        stops += bool((speeds < 0.05).any())
        headings = [d._path.at(m.s)[2] for m in moments]
        assert (speeds[speeds < 0.05] == 0).mean() > 0.8
        turns += np.ptp(headings) > 0.5
    assert stops >= 3
    assert turns >= 3


@pytest.mark.slow
def test_long_drives_keep_little() -> None:
    d = drive(3)
    for t in range(0, 600, 20):
        d.at(float(t))
        d.forget(float(t))
    assert len(d._moments) < 60 * 60
    assert len(d.goes_at) < 12


def test_moving_things_do_not_jump() -> None:
    path = Path(6)
    street = Street(6, path, foliage="green", side=-1)
    traffic = Traffic(6, path, street, Drive(6, path, street))
    now, then = traffic.at(10.0), traffic.at(10.0 + 1 / 60)
    places = {i.uid: i.matrix for i in now.instances}
    shared = [i for i in then.instances if i.uid in places]
    assert len(shared) > 20
    for item in shared:
        assert np.abs(item.matrix - places[item.uid])[[3, 7, 11]].max() < 0.4
    assert len({i.uid for i in now.instances}) == len(now.instances)


@given(x=st.floats(-0.5, 0.5), z=st.floats(-0.7, -0.2))
def test_limbs_reach_their_goal(x: float, z: float) -> None:
    goal = np.array([x, z])
    a, joint, b = _two_bones(np.zeros(2), goal, 0.44, 0.43)
    assert np.allclose(joint, 0.44 * np.array([np.sin(a), -np.cos(a)]))
    assert np.allclose(joint + 0.43 * np.array([np.sin(b), -np.cos(b)]), goal, atol=1e-2) or np.hypot(x, z) > 0.86


def test_a_piece_of_street_depends_on_its_number_only() -> None:
    def piece(order: list[int]) -> dict[int, bytes]:
        path = Path(9)
        street = Street(9, path, foliage="green", side=1)
        return {i: street.piece(i).mesh.verts.tobytes() for i in order}

    forward, backward = piece([3, 4, 5]), piece([5, 4, 3])
    assert forward == backward
    assert forward[3] != forward[4]


def test_faces_look_outwards() -> None:
    mesh = Mesh()
    mesh.box((-1, -2, 0), (1, 2, 3), Material(PLAIN, "car"), bottom=True)
    mesh.ball((0, 0, 0), (1, 2, 3), Material(PLAIN, "car"))
    mesh.tube((0, 0, -1), (0, 0, 1), 0.5, 0.4, Material(PLAIN, "car"))
    verts = mesh.freeze().verts
    p, n = verts[..., :3].astype(float), verts[..., 3:6].astype(float)
    flat = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    assert ((flat * n.mean(axis=1)).sum(axis=1) > 0).all()
    middle = p.mean(axis=1) - np.where(np.arange(len(p))[:, None] < 12, [0, 0, 1.5], 0)
    assert ((flat * middle).sum(axis=1) > 0).all()
    assert np.allclose(np.linalg.norm(n, axis=-1), 1, atol=1e-5)


def test_instances_choose_their_colours() -> None:
    mesh, copy = Mesh(), Mesh()
    mesh.disc((0, 0, 0), (0, 0, 1), 1.0, Material(PLAIN, "car", slot(1)))
    copy.add(mesh.freeze(), at=(5, 0, 0), heading=1.0, colours=[(0, 0, 0), (0.1, 0.2, 0.3)])
    assert np.allclose(copy.freeze().faces[:, 2:5], (0.1, 0.2, 0.3))
    assert copy.freeze().verts[..., 0].mean() == pytest.approx(5, abs=0.2)
    assert len(Mesh().freeze()) == 0


@pytest.mark.parametrize("name", list(models.CARS))
def test_cars_have_their_size(name: str) -> None:
    shape, verts = models.CARS[name], models.car(models.CARS[name]).verts
    low, high = verts[..., :3].min(axis=(0, 1)), verts[..., :3].max(axis=(0, 1))
    assert high[0] - low[0] == pytest.approx(shape.length, abs=0.1)
    assert high[2] == pytest.approx(shape.roof, abs=0.06)
    assert low[2] == pytest.approx(0, abs=0.04)
    assert shape.width < high[1] - low[1] < shape.width + 0.5


def test_far_leaves_cover_as_much_as_near_ones() -> None:
    packed = textures.paint(np.random.default_rng(2))
    assert packed.tobytes() == textures.paint(np.random.default_rng(2)).tobytes()
    assert packed.shape == (len(textures.NAMES), kernels.LEVELS[9])
    for name in ("leaves", "leaves2", "twigs"):
        layer = packed[textures.LAYER[name]]
        shares = [
            (layer[kernels.LEVELS[k] : kernels.LEVELS[k + 1]].reshape(-1, 4)[:, 3] > 127).mean() for k in range(6)
        ]
        assert np.ptp(shares) < 0.12


def test_weather_varies_by_seed() -> None:
    looks = [look(seed) for seed in range(30)]
    exposures = [x.env[16] for x in looks]
    assert np.ptp(exposures) > 0.3
    assert {x.foliage for x in looks} == {"green", "bare"}
    assert all((np.diff(x.tone) >= 0).all() and x.tone[0] >= 0 and x.tone[-1] <= 255 for x in looks)
    assert (look(4).env == looks[4].env).all()
