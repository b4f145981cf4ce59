"""Exported graphs equal torch at every size, and model folders can be read back without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.labels import CAMVID11
from segtween.networks import NETWORKS, build, export_network

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIZES_HW = [(64, 64), (96, 160), (160, 64), (90, 120), (33, 131)]


def lively(name: str, *, classes: int) -> Any:
    """A network whose norms do something, with weights that float16 holds exactly."""
    torch.manual_seed(0)
    net = build(name, classes=classes).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
    return net.half().float()


@pytest.fixture(scope="module", params=list(NETWORKS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    from segtween.networks.export import export_model

    net = lively(request.param, classes=11)
    out = tmp_path_factory.mktemp(request.param)
    export_model(net, network=request.param, name="mine", labels=CAMVID11, out=out / "model", provenance={"a": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGTWEEN_CACHE", str(out / "cache"))
        export_network(out / "model", out / "portable")
    return net, out


@pytest.mark.parametrize(("runtime", "static"), [("onnxruntime", False), ("openvino", False), ("openvino", True)])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_graph_equals_torch_at_any_size(
    exported: tuple[Any, Path], size_hw: tuple[int, int], runtime: str, static: bool
) -> None:
    net, out = exported
    image = np.random.default_rng(size_hw[0]).normal(size=(1, 3, *size_hw)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(image)).numpy()
    found = run_graph(out / "portable" / "graph.onnx", image, runtime=runtime, static=static)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * expected.std() + 1e-4


def run_graph(path: Path, image: Any, *, runtime: str, static: bool) -> Any:
    if runtime == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(None, {"image": image})[0]
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    if static:
        model.reshape(list(image.shape))
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image)[0]


def test_folder_says_what_it_is(exported: tuple[Any, Path]) -> None:
    from segtween.models.records import load_record
    from segtween.models.weights import load_weights

    net, out = exported
    record = load_record(out / "model" / "model.yaml")
    assert record.name == "mine"
    assert record.labels == CAMVID11
    spec = NETWORKS[record.provenance["network"]]
    assert (record.input.scale, record.input.multiple_of, record.output.stride) == (255, 32, spec.stride)
    assert record.provenance["a"] == 1
    stored = load_weights(record)
    assert all(np.array_equal(value, net.state_dict()[key].numpy()) for key, value in stored.items())
    assert sorted(p.name for p in (out / "model").iterdir()) == ["graph.onnx", "model.yaml", "weights.safetensors"]


def test_portable_folder_holds_its_own_weights(exported: tuple[Any, Path]) -> None:
    from segtween.errors import SinkError
    from segtween.models.finding import find_record

    _, out = exported
    record = find_record(out / "portable")
    assert record.weights is None
    assert record.graph_path == out / "portable" / "graph.onnx"
    assert sorted(p.name for p in (out / "portable").iterdir()) == ["graph.onnx", "model.yaml", "weights.bin"]
    with pytest.raises(SinkError, match=r"portable exists; expected a new or empty folder; give another out="):
        export_network(out / "model", out / "portable")
    assert len(export_network(out / "model", out / "portable", overwrite=True)) == 3


def test_state_dict_file_becomes_a_model_folder(tmp_path: Path) -> None:
    from segtween.models.records import load_record
    from segtween.models.weights import load_weights
    from segtween.networks import export_checkpoint

    net = lively("swiftnet-lite0", classes=11)
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, tmp_path / "some.pth")
    folder = export_checkpoint(tmp_path / "some.pth", tmp_path / "m", network="swiftnet-lite0", label_set="camvid11")
    stored = load_weights(load_record(folder / "model.yaml"))
    assert np.array_equal(stored["logits.conv.bias"], net.state_dict()["logits.conv.bias"].numpy())


def test_shipped_graphs_are_what_export_writes() -> None:
    """Write shipped graphs anew with `segtween.networks.export` when a network's definition changes."""
    import onnx

    from segtween.models.finding import shipped_models
    from segtween.models.records import load_record
    from segtween.networks.export import export_graph

    ours = [load_record(folder / "model.yaml") for folder in shipped_models().values()]
    ours = [record for record in ours if record.provenance.get("network") in NETWORKS]
    assert "swiftnet-r18" in {record.name for record in ours}
    for record in ours:
        stored = onnx.load(str(record.graph_path), load_external_data=False)
        model, _ = export_graph(record.provenance["network"], classes=len(record.labels))
        assert [n.op_type for n in stored.graph.node] == [n.op_type for n in model.graph.node], record.name
        assert stored.graph.initializer == model.graph.initializer, record.name
