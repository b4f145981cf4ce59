"""Every row of the table of flow estimators, held to the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_contract import FlowContract

from segtween.errors import SettingError
from segtween.flow import FLOWS, FlowOptions, FlowSpec, _by_name, flow_names, flow_spec, open_flow
from segtween.flow.dis import QUALITIES
from segtween.models.component_search import FLOW_NETWORKS, PUBLISHED_FLOW


class TestDis(FlowContract):
    name = "dis"

    @pytest.mark.parametrize("quality", QUALITIES)
    def test_every_quality_keeps_to_the_convention(self, quality: str) -> None:
        estimator = self.open(quality=quality)
        flow = estimator(*self.pair(estimator, (96, 160), step=4))
        np.testing.assert_allclose(np.median(flow[16:-16, 16:-24], axis=(0, 1)), [4, 0], atol=0.3)
        described = estimator.describe()
        assert (described["quality"], described["implementation"]) == (quality, "numba")


class TestOpenCvDis(FlowContract):
    name = "dis-opencv"
    same_scene = 0.05

    def test_it_is_not_called_by_the_name_of_our_own(self) -> None:
        assert self.open().describe()["flow"] == "dis-opencv"


class TestZero(FlowContract):
    name = "zero"
    same_scene = 0.0

    def test_flow_is_backward_in_pixels_of_its_grid(self) -> None:
        estimator = self.open()
        assert not estimator(*self.pair(estimator, (96, 160), step=4)).any()


class TestLight(FlowContract):
    name = "light"
    options = {"classes": 11, "stride": 2}  # noqa: RUF012
    sizes_hw = ((128, 192), (100, 170))

    def test_flow_is_backward_in_pixels_of_its_grid(self) -> None:
        """It was trained for scores and not for motion: a pan is no measure of it, but which frame is which is told."""
        estimator = self.open()
        current, previous = self.pair(estimator, (128, 192), step=8)
        there, back = estimator(current, previous), estimator(previous, current)
        assert np.abs(there - back).mean() > 0.2

    def test_the_same_picture_does_not_move(self) -> None:
        """Nearly: it has biases of its own."""
        estimator = self.open()
        view, moved = self.pair(estimator, (128, 192), step=8)
        still = np.abs(estimator(view, view)).mean()
        assert still < 0.5 * np.abs(estimator(view, moved)).mean()


def test_every_name_has_a_contract_and_the_networks_are_those_that_can_be_found() -> None:
    tested = {kind.name for kind in FlowContract.__subclasses__()}
    assert tested | set(PUBLISHED_FLOW) == set(flow_names()), "weights of the published ones are not shipped"
    assert {name for name in flow_names() if FLOWS[name].needs_weights} == set(FLOW_NETWORKS)


def test_paths_are_told_apart_and_names_come_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "zero").mkdir()
    (tmp_path / "net.onnx").touch()
    assert flow_spec("flows").is_stored
    assert flow_spec("net.onnx").needs_weights
    assert flow_spec("zero").name == "zero"
    for row in ("FILE", "FOLDER"):
        with pytest.raises(SettingError, match=f"flow '{row}'; expected one of dis, "):
            flow_spec(row)


def test_options_that_an_estimator_does_not_know_are_told() -> None:
    with pytest.raises(SettingError, match="flow quality 'slow'; expected one of fast, balanced, fine; choose"):
        open_flow("dis", FlowOptions(quality="slow"))
    with pytest.raises(
        SettingError, match="flow 'raft'; expected one of dis, .*; choose one of these, or check the pa"
    ):
        open_flow("raft")


def test_a_name_stands_in_the_table_once() -> None:
    row = FlowSpec("one", "something", "module:function")
    with pytest.raises(SettingError, match="two flow estimators named one; expected one of each name; rename one"):
        _by_name(row, row)


def test_padding_shows_whole_blocks_of_32() -> None:
    estimator: Any = open_flow("zero", FlowOptions(stride=1, padded=True))
    view = estimator.prepare(np.zeros((90, 121, 3), np.uint8))
    assert view.shape == (96, 128)
    assert estimator(view, view).shape == (96, 128, 2)
    assert estimator.describe() == {"flow": "zero"}


def test_help_and_documents_name_every_row() -> None:
    from segtween.cli.options import MethodOptions

    option = MethodOptions.__annotations__["flow"]
    assert "flow_names()" in option
    assert "flow_paths()" in option
    page = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    table = "\n".join(
        f"| {f'`{row.name}`' if row.accepts is None else row.name} | {row.what} "
        f"| {'yes' if row.needs_weights else 'none'} | {'yes' if row.device_open else 'from the processor'} |"
        for row in FLOWS.values()
    )
    assert table in page, f"docs/networks.md must list\n{table}"
