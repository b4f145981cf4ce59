"""SwiftNet-R18 gives the numbers of public SwiftNet code, for weights and images made from seeds.

`tests/golden` holds those numbers with the snippet that makes weights and images (fill.py).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text())
CASES = [(n, c) for n, entry in INDEX["networks"].items() for c in entry["cases"]]


def _fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = _fill()


def network_and_image(case: dict[str, Any]) -> tuple[Any, Any]:
    """The network with the case's weights, and the case's image, normalised."""
    from segtween.networks import NETWORKS, build

    net = build("swiftnet-r18", classes=case["num_classes"]).eval()
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    state = fill.fill_state_dict(shapes, case["weights"]["seed"])
    assert fill.sha256_state(state) == case["weights"]["sha256"]
    net.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    image_u8 = fill.fill_input(case["inputs"][0]["shape"], case["inputs"][0]["seed"], "image")
    assert fill.sha256(image_u8) == case["inputs_sha256"]["image_u8"]
    spec = NETWORKS["swiftnet-r18"]
    return net, torch.from_numpy(fill.normalise(image_u8, spec.mean, spec.std))


def worst_error(case: dict[str, Any], output: str, values: Any) -> float:
    """Largest absolute error relative to the case's tolerance; at most 1 is right."""
    stored = np.load(GOLDEN / case["file"])
    expected = stored[output].reshape(-1)
    found = fill.pick(np.asarray(values), stored[f"{output}__start_step_total"])
    return float(np.abs(found - expected).max() / (1e-4 * case["outputs"][output]["std"] + 1e-4))


@pytest.mark.parametrize(("name", "case"), CASES, ids=[c["file"] for _, c in CASES])
def test_logits_equal_the_public_code(name: str, case: dict[str, Any]) -> None:
    from segtween.networks.swiftnet import enlarge

    net, image = network_and_image(case)
    with torch.no_grad():
        logits = net(image)
    if name == "swiftnet_r18_seed":
        assert worst_error(case, "logits", logits) <= 1
    else:
        assert worst_error(case, "logits_stride4", logits) <= 1
        assert worst_error(case, "logits", enlarge(logits, case["image_size"])) <= 1


def test_keys_and_shapes_are_those_of_published_checkpoints() -> None:
    from segtween.networks import build

    own = [[key, list(value.shape)] for key, value in build("swiftnet-r18", classes=19).state_dict().items()]
    assert own == INDEX["manifest"]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("case", [CASES[1][1], CASES[2][1]], ids=["120x200", "128x160"])
def test_exported_graph_equals_the_public_code(case: dict[str, Any], runtime: str, tmp_path: Path) -> None:
    from segtween.labels import numbered
    from segtween.networks.export import export_graph
    from segtween.weights import write_weights_bin

    net, image = network_and_image(case)
    model, shapes = export_graph("swiftnet-r18", classes=len(numbered(case["num_classes"])))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    write_weights_bin({k: v.numpy() for k, v in net.state_dict().items() if k in shapes}, tmp_path / "weights.bin")
    assert worst_error(case, "logits", run_graph(tmp_path / "graph.onnx", image.numpy(), runtime=runtime)) <= 1


def run_graph(path: Path, image: Any, *, runtime: str, static: bool = False) -> Any:
    """Logits of a graph in float32; `static` fixes the graph's size first."""
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
