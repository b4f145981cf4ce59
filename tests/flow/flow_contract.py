"""What every flow estimator keeps to. A new one is tested by a subclass that says how it is opened:

class TestFarneback(FlowContract):
    name = "farneback"
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest

from fakes import panning
from segtween.errors import SettingError
from segtween.flow import FLOWS, FlowOptions, flow_names, flow_spec, open_flow, resolve


class FlowContract:
    """`name` is the row of `segtween.flow.FLOWS`.

    sizes_hw     frames to try; odd ones among them
    step         pixels that a panning picture moves to the left from frame to frame
    tolerance    pixels of the grid, along x and y, by which the flow's median may miss that
    same_scene   pixels of the grid that a picture may move against itself
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    sizes_hw: ClassVar[tuple[tuple[int, int], ...]] = ((96, 160), (90, 121))
    step: ClassVar[int] = 4
    tolerance: ClassVar[float] = 0.3
    same_scene: ClassVar[float] = 1e-3

    def open(self, **options: Any) -> Any:
        return open_flow(self.name, FlowOptions(**{"threads": 1, **self.options, **options}))

    def pair(self, estimator: Any, size_hw: tuple[int, int], *, step: int = 2) -> Any:
        """The views of a frame and of the one before it."""
        previous, current = panning(2, size_hw, step=step, cell=12)
        return estimator.prepare(current), estimator.prepare(previous)

    def test_it_has_a_row(self) -> None:
        spec = flow_spec(self.name)
        assert spec is FLOWS[self.name]
        assert spec.what
        assert callable(resolve(spec.open))

    def test_flow_has_the_grid_of_the_view(self) -> None:
        estimator = self.open()
        for size_hw in self.sizes_hw:
            views = self.pair(estimator, size_hw)
            flow = estimator(*views)
            assert flow.shape == (*views[0].shape[:2], 2)
            assert flow.dtype == np.float32
            assert np.isfinite(flow).all()

    def test_inputs_stay_as_they_are_and_the_answer_is_repeated(self) -> None:
        estimator, size_hw = self.open(), self.sizes_hw[-1]
        frames = panning(2, size_hw)
        copies = [rgb.copy() for rgb in frames]
        views = [estimator.prepare(rgb) for rgb in frames]
        kept = [view.copy() for view in views]
        first = estimator(views[1], views[0]).copy()
        assert all(map(np.array_equal, (*frames, *views), (*copies, *kept)))
        assert np.array_equal(estimator(views[1], views[0]), first)
        other = self.open()
        assert np.array_equal(other(views[1], views[0]), first), "earlier pairs change nothing"

    def test_flow_is_backward_in_pixels_of_its_grid(self) -> None:
        estimator, size_hw = self.open(), self.sizes_hw[0]
        views = self.pair(estimator, size_hw, step=self.step)
        flow = estimator(*views)
        h, w = flow.shape[:2]
        expected = self.step * w / size_hw[1], 0.0
        middle = np.median(flow[h // 6 : -(h // 6), w // 6 : -(w // 4)], axis=(0, 1))
        np.testing.assert_allclose(middle, expected, atol=self.tolerance)

    def test_the_same_picture_does_not_move(self) -> None:
        estimator = self.open()
        view = self.pair(estimator, self.sizes_hw[0])[0]
        assert np.abs(estimator(view, view)).max() <= self.same_scene

    def test_tiny_frames_have_a_flow(self) -> None:
        estimator = self.open()
        view = estimator.prepare(panning(1, (8, 8))[0])
        flow = estimator(view, view)
        assert flow.shape == (*view.shape[:2], 2)
        assert np.isfinite(flow).all()

    def test_its_record_is_plain_json_and_names_it(self) -> None:
        estimator = self.open()
        described = estimator.describe()
        assert json.loads(json.dumps(described)) == described
        assert described["flow"]
        estimator(*self.pair(estimator, self.sizes_hw[0]))
        assert estimator.describe() == described, "it does not depend on what was seen"

    def test_a_wrong_name_near_it_is_told(self) -> None:
        with pytest.raises(SettingError, match=rf"expected one of {', '.join(flow_names())}, .*did you mean"):
            open_flow(f"{self.name}x")
