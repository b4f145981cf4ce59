"""Which component is found: what was given, what is shipped, or an error that says where to get one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segtween.errors import ModelError, SettingError
from segtween.models.component_search import find_flow_network, find_refinement
from segtween.models.components import FLOW, REFINE, REFINE_WITHOUT_EDGE, SHIPPED
from tiny_propagation import write_model


def no_convert(which: str) -> Path:
    raise AssertionError(f"{which} is no checkpoint")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), classes=4, without_edge=False)


def test_a_shipped_refinement_is_found_by_its_classes_or_its_name() -> None:
    shipped = SHIPPED / "swnet-seq-lite0.camvid"
    assert find_refinement(None, classes=11, convert=no_convert).path == shipped / REFINE
    assert find_refinement(None, classes=11, edge=False, convert=no_convert).path == shipped / REFINE_WITHOUT_EDGE
    assert find_refinement(shipped.name, classes=3, convert=no_convert).classes == 11
    flow = find_flow_network("light", weights=None, classes=None, convert=no_convert)
    assert (flow.path, flow.kind, flow.units) == (shipped / FLOW, "flow", 4.0)


def test_a_folder_is_taken_as_it_is_and_a_file_is_converted(folder: Path, tmp_path: Path) -> None:
    assert find_refinement(str(folder), classes=4, convert=no_convert).path == folder / REFINE
    checkpoint = tmp_path / "own.pth.tar"
    checkpoint.touch()
    asked: list[str] = []

    def convert(which: str) -> Path:
        asked.append(which)
        return folder

    assert find_refinement(str(checkpoint), classes=4, convert=convert).path == folder / REFINE
    assert find_flow_network(str(checkpoint), weights=None, classes=4, convert=convert).path == folder / FLOW
    assert asked == [str(checkpoint)] * 2
    found = find_flow_network(str(folder / FLOW), weights=None, classes=4, convert=no_convert)
    assert found.path == folder / FLOW
    with pytest.raises(ModelError, match=r"own.pth.tar holds no refinement network; .*; give other weights=, or edge="):
        find_refinement(str(checkpoint), classes=4, edge=False, convert=convert)


def test_a_single_graph_is_no_weights(folder: Path) -> None:
    with pytest.raises(
        ModelError, match=rf"refine.onnx are one graph; expected a folder .*; give its folder, {folder}"
    ):
        find_refinement(str(folder / REFINE), classes=4, convert=no_convert)


def test_an_error_names_arguments_and_says_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flow: dict[str, Any] = {"weights": None, "classes": 4, "convert": no_convert}
    cases: list[tuple[Any, type[Exception], str]] = [
        (
            lambda: find_refinement(str(folder), classes=4, edge=False, convert=no_convert),
            ModelError,
            r"holds no refine-no-edge.onnx \(flow.onnx, refine.onnx\); .*; give other weights=, or edge=True",
        ),
        (
            lambda: find_refinement(None, classes=7, convert=no_convert),
            ModelError,
            "no refinement is shipped for 7 classes; expected weights=FILE, .*; get that from github.com",
        ),
        (
            lambda: find_flow_network("flownets", **{**flow, "weights": str(folder)}),
            ModelError,
            r"flow network flownets are not found; expected weights.flownet.pth.tar, or its file given as flow=",
        ),
        (
            lambda: find_flow_network("lihgt", **flow),
            SettingError,
            "flow network 'lihgt'; expected one of light, flownets, flownet2s, an .onnx .*; did you mean light",
        ),
        (
            lambda: find_flow_network("light", **{**flow, "weights": "own.pth.tar", "convert": None}),
            ModelError,
            "own.pth.tar is no folder of components; expected a folder .*; make one of the checkpoint",
        ),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            call()
        assert "--" not in str(caught.value)


def test_weights_of_another_flow_network_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "other", classes=4)
    record = folder / f"{FLOW}.yaml"
    record.write_text(record.read_text().replace("flow-light", "flownets"))
    with pytest.raises(
        ModelError, match=r"the flow network in .* is flownets; expected flow-light; choose it with flow="
    ):
        find_flow_network("light", weights=str(folder), classes=4, convert=no_convert)
    found = find_flow_network("flownets", weights=str(folder), classes=4, convert=no_convert)
    assert found.network == "flownets"
