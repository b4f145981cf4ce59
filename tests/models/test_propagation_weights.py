"""Where the preset `swnet-seq` finds its weights, and what it says where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.build import build_engine, build_flow
from segtween.errors import ModelError, SegtweenError, SettingError
from segtween.models.components import read_component
from segtween.settings import change, find_preset

SEQ = find_preset("swnet-seq")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with networks of random weights, for four classes."""
    torch = pytest.importorskip("torch")
    from segtween.networks import build_flow, build_refiner
    from segtween.networks.export_components import export_part
    from segtween.networks.fitting import Kind

    torch.manual_seed(3)
    folder: Path = tmp_path_factory.mktemp("trained")
    export_part(build_flow("flow-light"), Kind("flow-light"), folder / "flow.onnx")
    export_part(build_refiner(classes=4), Kind("guided", 4), folder / "refine.onnx")
    return folder


def save(path: Path, **parts: Any) -> Path:
    import torch

    torch.save(dict(parts), path)
    return path


@pytest.mark.train
def test_a_trained_folder_runs_without_torch_in_the_engine(trained: Path) -> None:
    settings = change(SEQ, interval=2, weights=str(trained))
    engine = build_engine(BrightnessSegmenter(), settings)
    results = list(engine.stream(panning(5, (70, 100))))
    assert [r.is_key for r in results] == [True, False, False, True, False]
    assert {r.labels.shape for r in results} == {(70, 100)}
    assert results[1].score_map.kind == "logits"
    record = engine.describe()
    assert record["arrays"] == "as the reference"
    assert record["edge"] == "laplacian"
    assert record["refine"]["network"] == "guided"


@pytest.mark.train
def test_without_edge_is_another_method_and_other_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.networks import build_flow, build_refiner

    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    file = save(
        tmp_path / "own.pth.tar",
        state_dict=build_refiner(classes=4).state_dict(),
        state_dict_of=build_flow("flow-light").state_dict(),
        epoch=1,
    )
    engines = [build_engine(BrightnessSegmenter(), change(SEQ, weights=str(file), edge=edge)) for edge in (True, False)]
    frames = panning(2, SIZE)
    with_edge, without = ([engine.step(rgb) for rgb in frames][1].score_map.values for engine in engines)
    assert not np.array_equal(with_edge, without)
    assert engines[1].describe()["edge"] == "zero"


@pytest.mark.train
@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("empty/absent.pth.tar", r"weights .*absent.pth.tar are not found"),
        ("trained", r"is for 4 classes; expected 3, as the segmentation network has"),
        ("empty", r"holds no flow.onnx \(no graph\)"),
    ],
)
def test_weights_that_do_not_fit(
    where: str, text: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "trained").symlink_to(trained)
    with pytest.raises(SegtweenError, match=text):
        build_engine(BrightnessSegmenter(3), change(SEQ, weights=str(tmp_path / where)))


@pytest.mark.train
def test_a_checkpoint_of_another_network_a_cut_one_and_one_with_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.networks import build, build_flow

    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    other = save(tmp_path / "swiftnet.pt", state_dict=build("swiftnet-r18", classes=4).state_dict())
    cut = tmp_path / "cut.pth.tar"
    cut.write_bytes(
        save(tmp_path / "whole.pth.tar", state_dict=build_flow("flow-light").state_dict()).read_bytes()[:999]
    )
    code = save(tmp_path / "code.pth.tar", state_dict=Path("x"))
    for file, text in ((other, "swiftnet-r18 with 4 classes"), (cut, "damaged or cut off"), (code, "carries code")):
        with pytest.raises(ModelError, match=text):
            build_engine(BrightnessSegmenter(), change(SEQ, weights=str(file)))
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_classes_that_no_shipped_refinement_has() -> None:
    with pytest.raises(ModelError, match=r"no refinement is shipped for 7 classes; expected weights=FILE.*get that"):
        build_engine(BrightnessSegmenter(7), SEQ)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(SettingError, match="give preset='swnet-seq'"):
        change(find_preset("blend"), refine="guided")
    for mode in ("causal", "bidirectional"):
        with pytest.raises(SettingError, match="refine='guided' with propagation='composed'; expected propagation="):
            change(find_preset("composed"), refine="guided", mode=mode)
    with pytest.raises(SettingError, match=r"refine 'sharp'; expected guided or none"):
        change(SEQ, refine="sharp")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["flownets", "flownet2s"])
def test_flow_networks_whose_weights_are_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=rf"weights of flow network {name} are not found.*get it from.*put it there"):
        build_flow(change(find_preset("blend"), flow=name))


def test_a_flow_that_is_neither_name_nor_file() -> None:
    with pytest.raises(
        SettingError,
        match=r"flow 'diss'; expected one of dis, codec, dis-opencv, zero, light, flownets, flownet2s, an .onnx",
    ):
        build_flow(change(find_preset("blend"), flow="diss"))


RECORD = "network: flow-light\nkind: flow\nimage: {channels: BGR, mean: [1, 2, 3], std: [1, 1, 1], multiple_of: 4}\n"


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (None, r"flow.onnx.yaml is not found; expected the record of flow.onnx; make both with `segtween weights"),
        ("network: flow-light", r"flow.onnx.yaml: the record has no field 'kind'; expected kind: ...; add it"),
        ("network: flow-light\nkind: flow", r"flow.onnx.yaml: the record has no field 'image'"),
        (RECORD.replace("kind: flow", "kind: refinement"), "is of kind refinement; expected kind flow"),
        (RECORD, r"graph .*flow.onnx is not found"),
        (":", "record .*flow.onnx.yaml is not YAML .*; expected the record of flow.onnx"),
        ("[1]", r"the record is \[1\]; expected a mapping with image, kind, network"),
        (RECORD.replace("kind: flow", "kind: flows"), "kind is 'flows'; expected one of flow, refinement"),
        (RECORD.replace("BGR", "YUV"), "image.channels is 'YUV'; expected one of RGB, BGR"),
        (RECORD.replace("[1, 1, 1]", "[1, 0, 1]"), r"image.std is \[1, 0, 1\]; expected three numbers above 0"),
        (RECORD.replace("[1, 2, 3]", "[1, 2]"), r"image.mean is \[1, 2\]; expected three numbers"),
        (RECORD.replace("multiple_of: 4", "multiple_of: 100000"), "image.multiple_of is 100000; expected a whole num"),
        (RECORD.replace("multiple_of: 4", "multiple: 4"), "image has an unknown field 'multiple'; .*did you mean mult"),
        (RECORD + "units: 0", "units is 0; expected a number above 0"),
        (RECORD + "classes: true", "classes is True; expected a whole number from 0 to 254"),
        (RECORD + "edge: sharp", "edge is 'sharp'; expected one of laplacian, zero, absent"),
        (RECORD + "provenance: [" + "[" * 5000, "flow.onnx.yaml is nested more than 32 levels deep"),
    ],
)
def test_records_of_parts(record: str | None, text: str, tmp_path: Path) -> None:
    if record is not None:
        (tmp_path / "flow.onnx.yaml").write_text(record)
    with pytest.raises(ModelError, match=text):
        read_component(tmp_path / "flow.onnx", kind="flow")
