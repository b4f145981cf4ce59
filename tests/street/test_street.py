"""The synthetic street: what it shows, and that its truth is exact."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.labels import CAMVID11, CITYSCAPES19, LABEL_MAPS
from segtween.street import StreetClip, StreetFrame
from segtween.street.clip import Density, _Renderer
from segtween.street.truth import CLOSER

SIZE = (120, 160)
SECOND = Fraction(1)


def frames(
    seed: int, count: int, *, start: int = 60, size_hw: tuple[int, int] = SIZE, traffic: Density = "normal"
) -> list[StreetFrame]:
    return list(StreetClip(seed, size_hw=size_hw, frames=count, start=start, traffic=traffic))


def gather(image: NDArray[np.generic], flow: NDArray[np.float32], how: int) -> NDArray[np.generic]:
    """The previous frame's values where this frame's points were."""
    y, x = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]].astype(np.float32)
    return cv2.remap(image, x + flow[..., 0], y + flow[..., 1], how, borderMode=cv2.BORDER_REPLICATE)


def plain(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where all neighbours have the same label."""
    k = np.ones((3, 3), np.uint8)
    return (cv2.dilate(labels, k) == cv2.erode(labels, k)).astype(np.uint8)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, second, other = frames(3, 3), frames(3, 3), frames(4, 3)
    for a, b in zip(first, second, strict=True):
        for name in ("rgb", "camvid11", "cityscapes19", "flow", "occlusion"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert (first[0].rgb != other[0].rgb).mean() > 0.5


@pytest.mark.slow
def test_start_skips_frames_of_the_same_drive() -> None:
    whole, late = frames(5, 4, start=0), frames(5, 2, start=2)
    assert [f.index for f in late] == [2, 3]
    assert (whole[2].rgb == late[0].rgb).all()
    assert (whole[3].flow == late[1].flow).all()
    assert not late[0].flow.any()
    assert late[0].occlusion.all()


def test_frames_have_the_documented_types() -> None:
    for frame in islice(StreetClip(1, size_hw=(64, 96), frame_rate=Fraction(30000, 1001)), 2):
        assert frame.pts_seconds == frame.index * Fraction(1001, 30000)
        assert (frame.rgb.shape, frame.rgb.dtype) == ((64, 96, 3), np.uint8)
        assert (frame.camvid11.shape, frame.camvid11.dtype) == ((64, 96), np.uint8)
        assert (frame.cityscapes19.shape, frame.cityscapes19.dtype) == ((64, 96), np.uint8)
        assert (frame.flow.shape, frame.flow.dtype) == ((64, 96, 2), np.float32)
        assert (frame.occlusion.shape, frame.occlusion.dtype) == ((64, 96), np.bool_)
        assert np.isfinite(frame.flow).all()
    assert repr(frame) == "StreetFrame(1, pts_seconds=0.033367, 96x64)"


def test_the_first_frame_has_no_past() -> None:
    frame = next(iter(StreetClip(2, size_hw=(64, 64))))
    assert not frame.flow.any()
    assert frame.occlusion.all()


@pytest.mark.slow
def test_every_class_occurs_regularly() -> None:
    seen = np.zeros(11)
    city = np.zeros(19)
    looks = 0
    for seed in (1, 6, 105):
        for frame in StreetClip(seed, size_hw=SIZE, frame_rate=Fraction(1, 3), frames=6):
            seen += np.bincount(frame.camvid11.ravel(), minlength=11) >= 5
            city += np.bincount(frame.cityscapes19.ravel(), minlength=19)
            assert (frame.camvid11 == LABEL_MAPS["cityscapes19-to-camvid11"](frame.cityscapes19)).all()
            looks += 1
    assert {CAMVID11.names[i] for i in np.flatnonzero(seen / looks < 0.4)} == set()
    never = {CITYSCAPES19.names[i] for i in np.flatnonzero(city == 0)}
    assert never <= {"train", "motorcycle", "bus", "truck"}


@pytest.mark.slow
def test_it_looks_like_a_dash_cam() -> None:
    for seed in (2, 9):
        frame = frames(seed, 1, size_hw=(180, 240))[0]
        lower, upper = frame.camvid11[140:], frame.camvid11[:30]
        assert np.isin(lower, [CAMVID11.index("road"), CAMVID11.index("car")]).mean() > 0.6
        assert (upper != CAMVID11.index("road")).all()
        assert 40 < frame.rgb.mean() < 215
        assert frame.rgb.std() > 20


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "traffic"), [(8, "normal"), (13, "normal"), (907, "heavy")])
def test_labels_and_colours_follow_the_flow(seed: int, traffic: Density) -> None:
    clip = frames(seed, 4, traffic=traffic)
    agree, visible, occluded = [], [], []
    for before, now in pairwise(clip):
        labels = gather(before.cityscapes19, now.flow, cv2.INTER_NEAREST)
        inner = (gather(plain(before.cityscapes19), now.flow, cv2.INTER_NEAREST) > 0) & (plain(now.cityscapes19) > 0)
        seen = inner & ~now.occlusion
        assert seen.mean() > 0.5
        agree.append((labels == now.cityscapes19)[seen].mean())
        change = np.abs(gather(before.rgb, now.flow, cv2.INTER_LINEAR).astype(int) - now.rgb).mean(axis=2)
        visible.append(change[seen].mean())
        occluded.append(change[now.occlusion].mean())
    assert np.mean(agree) > 0.995
    assert np.mean(visible) < 6.0
    assert np.mean(occluded) > 2 * np.mean(visible)


@pytest.mark.slow
@settings(max_examples=5)
@given(
    height=st.integers(32, 90), width=st.integers(32, 130), seed=st.integers(0, 40), at=st.integers(0, 25),
    step=st.sampled_from([Fraction(1, 60), Fraction(1, 15), Fraction(1, 4)]),
)  # fmt: skip
def test_flow_of_the_road_is_that_of_a_plane(height: int, width: int, seed: int, at: int, step: Fraction) -> None:
    renderer = _Renderer(seed, (height, width))
    renderer.frame(0, Fraction(at), first=True)
    before = renderer.cam_before
    frame = renderer.frame(1, at + step, first=False)
    now = renderer.cam_before
    renderer.close()
    y, x = np.nonzero(frame.cityscapes19 == CITYSCAPES19.index("road"))
    # On the ground a camera is a homography; road paint and lids lie some millimetres above it.
    there = np.linalg.inv(now[:, [0, 1, 3]]) @ np.stack([x, y, np.ones_like(x)]).astype(float)
    was = before[:, [0, 1, 3]] @ (there / there[2])
    expected = np.stack([was[0] / was[2] - x, was[1] / was[2] - y], axis=1)
    error = np.abs(frame.flow[y, x] - expected).max(axis=1)
    assert len(x) > 0
    assert np.quantile(error, 0.9) < 1e-3
    assert frame.flow.shape == (height, width, 2)


def test_occlusion_is_what_rays_into_the_previous_frame_say() -> None:
    renderer = _Renderer(7, SIZE)
    renderer.frame(0, 5 * SECOND, first=True)
    frame = renderer.frame(1, 5 * SECOND + Fraction(1, 15), first=False)
    old, now = renderer.now, renderer.before  # they have taken turns
    renderer.close()
    edge = old.edge[: old.count].reshape(-1, 3, 3)
    holes = (old.face[: old.count, 7].astype(int) & 2) > 0
    rng = np.random.default_rng(0)
    hidden = np.argwhere(frame.occlusion)
    chosen = np.concatenate([np.argwhere(~frame.occlusion), hidden])
    chosen = np.concatenate([chosen[rng.integers(0, len(chosen), 150)], hidden[rng.integers(0, len(hidden), 150)]])
    wrong = asked = 0
    for y, x in chosen:
        t = now.ids[2 * y + 1, 2 * x + 1]
        q = np.array([x + frame.flow[y, x, 0], y + frame.flow[y, x, 1], 1.0])
        if not (0 <= q[0] <= SIZE[1] - 1 and 0 <= q[1] <= SIZE[0] - 1):
            assert frame.occlusion[y, x]
            continue
        if t >= 0 and now.uid[t] == -1:
            assert frame.occlusion[y, x]
            continue
        own = 0.0
        if t >= 0:
            b = now.edge[t].reshape(3, 3) @ np.array([x, y, 1.0])
            own = 1.0 / float(b / b.sum() @ now.past[t, :, 2])
        inside = edge @ q
        covers = (inside >= 0).all(axis=1)
        here = inside.sum(axis=1)
        if (covers & holes).any():
            continue
        asked += 1
        wrong += bool((covers & (here > own * CLOSER + 1e-7) & (here < 4)).any()) != bool(frame.occlusion[y, x])
    assert asked > 100
    assert wrong <= 2


def test_what_was_outside_is_occluded() -> None:
    for frame in frames(2, 4)[1:]:
        y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
        was_x, was_y = x + frame.flow[..., 0], y + frame.flow[..., 1]
        outside = (was_x < -0.01) | (was_y < -0.01) | (was_x > SIZE[1] - 0.99) | (was_y > SIZE[0] - 0.99)
        assert frame.occlusion[outside].all()


def test_a_standing_camera_sees_standing_things_stand() -> None:
    renderer = _Renderer(1, (64, 96))
    renderer.frame(0, 3 * SECOND, first=True)
    again = renderer.frame(1, 3 * SECOND, first=False)
    renderer.close()
    assert np.abs(again.flow).max() < 1e-3
    assert again.occlusion[1:-1, 1:-1].mean() < 0.002


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"size_hw": (16, 64)}, r"frame size \(16, 64\); expected \(height, width\), each 32 to 8192"),
        ({"size_hw": 64}, "frame size 64"),
        ({"frames": 0}, "0 frames; expected 1 or more, or None"),
        ({"frame_rate": Fraction(0)}, r"frame rate Fraction\(0, 1\); expected a fraction above 0"),
        ({"frame_rate": 29.97}, "frame rate 29.97"),
        ({"start": -1}, "start -1; expected 0 or more"),
        ({"seed": -1}, "seed -1; expected a whole number of 0 or more"),
        ({"seed": True}, "seed True"),
    ],
)
def test_settings_that_cannot_be_rendered(change: dict[str, object], text: str) -> None:
    with pytest.raises(SettingError, match=text):
        StreetClip(**{"seed": 1, **change})  # type: ignore[arg-type]
