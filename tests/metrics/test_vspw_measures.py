from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fakes import panning
from segtween.errors import SettingError
from segtween.metrics import TemporalConsistency, VideoConsistency, VspwMeasures
from segtween.metrics.segmentation import miou
from segtween.metrics.temporal import WIDEST, Farneback, correspondence, share
from segtween.metrics.vspw import VspwCounts, judging_flow, sampling

CLASSES = 3


@dataclass(frozen=True)
class Clip:
    """`flows[t]` leads from frame t to frame t + 1."""

    predictions: np.ndarray
    truths: np.ndarray
    flows: np.ndarray

    @classmethod
    def random(cls, seed: int, *, frames: int, size_hw: tuple[int, int], change: float = 0.05) -> Clip:
        """Labels that keep still but for a share `change` of the pixels of each frame; a sixth of the truth is void."""
        rng = np.random.default_rng(seed)

        def maps(values: list[int]) -> np.ndarray:
            found = rng.choice(values, (frames, *size_hw)).astype(np.uint8)
            for t in range(1, frames):
                found[t] = np.where(rng.random(size_hw) < change, found[t], found[t - 1])
            return found

        flows = rng.normal(0, 1.5, (max(frames - 1, 0), *size_hw, 2)).astype(np.float32)
        return cls(maps([0, 1, 2]), maps([0, 0, 1, 1, 2, 255]), flows)

    def reversed(self) -> Clip:
        return Clip(self.predictions[::-1], self.truths[::-1], self.flows[::-1])


def measured(clips: list[Clip], metric: VspwMeasures | None = None) -> dict[str, float | None]:
    metric = metric or VspwMeasures(CLASSES)
    for clip in clips:
        metric.begin()
        for t, (prediction, truth) in enumerate(zip(clip.predictions, clip.truths, strict=True)):
            metric.update(prediction, truth, clip.flows[t - 1] if t else None)
    return metric.compute()


# The scripts' rules once more, pixel by pixel. Shares nothing with the package.


def by_loops(clips: list[Clip]) -> dict[str, float | None]:
    frames: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []
    for clip in clips:
        for prediction, truth in zip(clip.predictions, clip.truths, strict=True):
            frames += pixel_pairs(truth, prediction)
        for t in range(len(clip.predictions) - 1):
            pairs += pixel_pairs(clip.predictions[t], moved_by_loops(clip.predictions[t + 1], clip.flows[t]))
    return {
        "vspw_miou": miou_by_loops(frames),
        "vspw_tc": miou_by_loops(pairs),
        "vspw_vc8": vc_by_loops(clips, 8),
        "vspw_vc16": vc_by_loops(clips, 16),
    }


def pixel_pairs(truth: np.ndarray, prediction: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True))


def miou_by_loops(pixels: list[tuple[int, int]]) -> float | None:
    """(truth, prediction) of every pixel; a truth outside the classes does not count."""
    count = Counter((true, label) for true, label in pixels if true < CLASSES)
    ious = []
    for c in range(CLASSES):
        in_truth = sum(n for (true, _), n in count.items() if true == c)
        in_prediction = sum(n for (_, label), n in count.items() if label == c)
        if in_truth > 0:
            ious.append(count[c, c] / (in_truth + in_prediction - count[c, c]))
    return sum(ious) / len(ious) if ious else None


def moved_by_loops(labels: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """grid_sample's formulas in float32, one number at a time: nearest, zeros outside, align_corners=False."""
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    h, w = labels.shape
    moved = np.zeros_like(labels)
    for y in range(h):
        for x in range(w):
            at = []
            for position, shift, size in ((x, flow[y, x, 0], w), (y, flow[y, x, 1], h)):
                normalised = two * (np.float32(position) + shift) / np.float32(max(size - 1, 1)) - one
                at.append(((normalised + one) * np.float32(size) - one) * half)
            if all(math.isfinite(v) for v in at):
                column, row = (round(float(v)) for v in at)
                if 0 <= column < w and 0 <= row < h:
                    moved[y, x] = labels[row, column]
    return moved


def vc_by_loops(clips: list[Clip], n: int) -> float | None:
    shares = []
    for clip in clips:
        frames, h, w = clip.truths.shape
        for start in range(frames - n):
            constant = kept = 0
            for y in range(h):
                for x in range(w):
                    if len({int(clip.truths[start + k, y, x]) for k in range(n)}) == 1:
                        constant += 1
                        kept += len({int(clip.predictions[start + k, y, x]) for k in range(n)}) == 1
            if constant:
                shares.append(kept / constant)
    return sum(shares) / len(shares) if shares else None


def assert_same(found: dict[str, float | None], expected: dict[str, float | None]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


@pytest.mark.parametrize("size_hw", [(6, 8), (7, 5), (1, 4), (1, 1)])
def test_several_clips_equal_loops_over_pixels(size_hw: tuple[int, int]) -> None:
    clips = [Clip.random(seed, frames=frames, size_hw=size_hw) for seed, frames in enumerate((20, 9, 17, 1, 8, 16))]
    expected = by_loops(clips)
    assert None not in expected.values()
    assert_same(measured(clips), expected)


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 19), min_size=1, max_size=3),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.0, 0.02, 0.3]),
)
def test_any_clips_equal_loops_over_pixels(
    seed: int, lengths: list[int], size_hw: tuple[int, int], change: float
) -> None:
    clips = [Clip.random(seed + i, frames=n, size_hw=size_hw, change=change) for i, n in enumerate(lengths)]
    assert_same(measured(clips), by_loops(clips))


@settings(max_examples=100)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.one_of(
        st.sampled_from([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, math.nan, math.inf, -math.inf, 1e30]),
        st.floats(-12, 12, width=32),
    ),
    st.floats(-12, 12, width=32),
)
def test_samples_where_the_formulas_lead_ties_and_all(size_hw: tuple[int, int], dx: float, dy: float) -> None:
    labels = np.arange(1, 1 + size_hw[0] * size_hw[1], dtype=np.uint8).reshape(size_hw)
    flow = np.broadcast_to(np.array([dx, dy], np.float32), (*size_hw, 2))
    with np.errstate(all="ignore"):
        expected = moved_by_loops(labels, flow)
    assert_array_equal(sampling(flow)(labels), expected)


def test_samples_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    for h, w in ((40, 61), (33, 48)):
        labels = rng.integers(1, 255, (h, w), dtype=np.uint8)
        flow = rng.normal(0, 6, (h, w, 2)).astype(np.float32)
        pixels = np.stack(np.meshgrid(np.arange(w), np.arange(h)), axis=-1).astype(np.float32)
        grid = 2 * torch.from_numpy(flow + pixels) / torch.tensor([w - 1, h - 1]) - 1
        source = torch.from_numpy(labels)[None, None].float()
        found = torch.nn.functional.grid_sample(source, grid[None], mode="nearest", align_corners=False)
        expected = found[0, 0].numpy().astype(np.uint8)
        # PyTorch's kernels may fuse a product and a sum into one rounding: on a tie a pixel may go the other way.
        assert np.count_nonzero(sampling(flow)(labels) != expected) <= 2
        assert np.count_nonzero(expected == 0) > 100, "some flow leads outside"


def test_zero_flow_loses_the_last_column_where_the_width_is_even() -> None:
    for w, last in ((6, 0), (7, 7)):
        labels = np.arange(1, w + 1, dtype=np.uint8)[None]
        moved = sampling(np.zeros((1, w, 2), np.float32))(labels)
        assert moved[0, -1] == last
        assert_array_equal(moved[0, :-1], labels[0, :-1])


def test_tc_by_hand() -> None:
    metric = VspwMeasures(CLASSES)
    still = np.zeros((1, 5, 2), np.float32)
    metric.update(np.array([[1, 1, 2, 2, 2]], np.uint8), None, None)
    metric.update(np.array([[1, 2, 2, 2, 0]], np.uint8), None, still)
    # class 1: 1 of 2; class 2: 2 of 4; class 0 stands nowhere as the truth
    assert metric.compute() == {"vspw_miou": None, "vspw_tc": 0.5, "vspw_vc8": None, "vspw_vc16": None}
    metric.reset()
    outside = np.full((1, 5, 2), 100, np.float32)
    metric.update(np.array([[0, 0, 0, 0, 1]], np.uint8), None, None)
    metric.update(np.array([[1, 1, 1, 1, 1]], np.uint8), None, outside)
    assert metric.compute()["vspw_tc"] == pytest.approx((4 / 5 + 0) / 2), "outside is class 0"


def test_a_backward_flow_gives_the_figures_of_the_clip_played_backwards() -> None:
    clips = [Clip.random(seed, frames=12, size_hw=(6, 7), change=0.3) for seed in (1, 2)]
    backward = measured(clips, VspwMeasures(CLASSES, direction="backward"))
    assert backward["vspw_tc"] == by_loops([clip.reversed() for clip in clips])["vspw_tc"]
    assert backward["vspw_tc"] != measured(clips)["vspw_tc"]


def test_a_window_counts_once_a_frame_follows_it() -> None:
    labels = np.array([[0, 1]], np.uint8)
    metric = VspwMeasures(CLASSES)
    for frames in range(1, 18):
        metric.update(labels, labels, None)
        assert metric.compute()["vspw_vc8"] == (1.0 if frames > 8 else None)
        assert metric.compute()["vspw_vc16"] == (1.0 if frames > 16 else None)
    metric.begin()
    assert metric.take().windows.tolist() == [[9.0, 9.0], [1.0, 1.0]]


def test_void_is_a_label_like_any_other_for_vc_and_windows_have_one_vote_each() -> None:
    truth, metric = np.array([[255, 255, 255, 1]], np.uint8), VspwMeasures(CLASSES)
    for t in range(9):
        metric.update(np.array([[t % 2, 0, 0, 0]], np.uint8), truth, None)
    metric.begin()
    for _ in range(9):
        metric.update(np.array([[0, 0, 0, 0]], np.uint8), truth, None)
    assert metric.compute()["vspw_vc8"] == pytest.approx((3 / 4 + 1) / 2)
    assert metric.compute()["vspw_miou"] == 0.0, "void is not counted: class 1 is all that the truth holds"


def test_windows_begin_anew_after_a_frame_without_a_truth() -> None:
    labels, metric = np.array([[0, 1]], np.uint8), VspwMeasures(CLASSES)
    for t in range(17):
        metric.update(labels, None if t == 8 else labels, None)
    assert metric.counts.windows[:, 1].tolist() == [0, 0]
    metric.update(labels, labels, None)
    assert metric.counts.windows[:, 1].tolist() == [1, 0]


def test_differs_from_the_measures_of_the_package_as_the_documents_say() -> None:
    clip = Clip.random(7, frames=20, size_hw=(12, 16), change=0.1)
    tc, vc = TemporalConsistency(CLASSES), VideoConsistency()
    for t, (prediction, truth) in enumerate(zip(clip.predictions, clip.truths, strict=True)):
        tc.update(prediction, correspondence(clip.flows[t - 1]) if t else None)
        vc.update(prediction, truth)
    found = measured([clip])
    assert found["vspw_tc"] != pytest.approx(tc.compute()["tc"], abs=1e-3)
    assert found["vspw_vc8"] != pytest.approx(vc.compute()["vc8"], abs=1e-3)


def test_a_prediction_of_no_class_is_a_miss() -> None:
    metric, still = VspwMeasures(CLASSES), np.zeros((1, 3, 2), np.float32)
    metric.update(np.array([[0, 255, 1]], np.uint8), np.array([[0, 0, 1]], np.uint8), None)
    assert metric.compute()["vspw_miou"] == pytest.approx((1 / 2 + 1) / 2)
    metric.update(np.array([[255, 1, 1]], np.uint8), None, still)
    assert metric.compute()["vspw_tc"] == pytest.approx((0 + 1) / 2), "class 0 is missed, the second pixel left out"


def test_counts_add_up() -> None:
    clips = [Clip.random(seed, frames=18, size_hw=(5, 6), change=0.3) for seed in (3, 4)]
    whole, parts, total = VspwMeasures(CLASSES), VspwMeasures(CLASSES), VspwCounts.zeros(CLASSES)
    expected = measured(clips, whole)
    for clip in clips:
        parts.begin()
        for t, (prediction, truth) in enumerate(zip(clip.predictions, clip.truths, strict=True)):
            parts.update(prediction, truth, sampling(clip.flows[t - 1]) if t else None)
            total = total + parts.take()
    assert_same(total.compute(), expected)
    taken = whole.take()
    for field in fields(VspwCounts):
        np.testing.assert_allclose(getattr(total, field.name), getattr(taken, field.name), rtol=1e-12)
    assert set(whole.compute().values()) == {None}


def test_means_over_any_leading_axes() -> None:
    counts = np.array([[[1, 0, 0], [2, 4, 0], [2, 0, 0]], [[0, 0, 0]] * 3])
    np.testing.assert_array_equal(miou(counts), [0.5, np.nan])
    np.testing.assert_array_equal(share(np.array([[1.5, 2], [0, 0]])), [0.75, np.nan])


def test_the_judging_flow_is_that_of_tc_in_either_direction() -> None:
    for width, step, cell in ((96, 3, 6), (WIDEST + 64, 8, 40)):
        frames = panning(2, (64, width), step=step, cell=cell)
        farneback = Farneback()
        farneback(frames[0])
        expected = farneback(frames[1])
        assert expected is not None
        found = correspondence(judging_flow(frames[1], frames[0]))
        assert_array_equal(found.source, expected.source)
        assert_array_equal(found.inside, expected.inside)
        forward = judging_flow(frames[0], frames[1])
        assert forward.shape == (64, width, 2)
        assert forward.dtype == np.float32
        assert abs(np.median(forward[16:48, 16 + step : -16, 0]) + step) <= 1, "the picture moves left"


def test_what_does_not_fit_is_an_error() -> None:
    labels = np.zeros((4, 6), np.uint8)
    flow = np.zeros((4, 6, 2), np.float32)
    metric = VspwMeasures(CLASSES)
    metric.update(labels, labels, None)
    with pytest.raises(SettingError, match="flow of size 5x4 for labels of 6x4"):
        metric.update(labels, labels, flow[:, :5])
    with pytest.raises(SettingError, match=r"flow of shape \(4, 6\)"):
        metric.update(labels, labels, flow[..., 0])
    with pytest.raises(SettingError, match="predicted labels of 6x4, true ones of 6x3"):
        metric.update(labels, labels[:3], flow)
    with pytest.raises(SettingError, match="labels of 6x2 after labels of 6x4; expected one size within a clip"):
        metric.update(labels[:2], labels[:2], flow[:2])
    with pytest.raises(SettingError, match="expected 'forward' or 'backward'"):
        VspwMeasures(CLASSES, direction="sideways")  # type: ignore[arg-type]
