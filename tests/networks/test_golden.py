"""SwiftNet-R18 gives the numbers of public SwiftNet code, for weights and images made from seeds.

`tests/golden` holds those numbers with the snippet that makes weights and images (fill.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golden_cases import INDEX, array, cases, fill, load_filled, worst_error

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

CASES = cases("swiftnet_r18_seed", "swiftnet_r18_orsic")


def network_and_image(case: dict[str, Any]) -> tuple[Any, Any]:
    """The network with the case's weights, and the case's image, normalised."""
    from segtween.networks import NETWORKS, build

    net = load_filled(build("swiftnet-r18", classes=case["num_classes"]), case)
    image_u8 = array(case, "image_u8")
    spec = NETWORKS["swiftnet-r18"]
    return net, torch.from_numpy(fill.normalise(image_u8, spec.mean, spec.std))


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_the_public_code(case: dict[str, Any]) -> None:
    from segtween.networks.swiftnet import enlarge

    net, image = network_and_image(case)
    with torch.no_grad():
        logits = net(image)
    if case["network"] == "swiftnet_r18_seed":
        assert worst_error(case, "logits", logits) <= 1
    else:
        assert worst_error(case, "logits_stride4", logits) <= 1
        assert worst_error(case, "logits", enlarge(logits, case["image_size"])) <= 1


def test_keys_and_shapes_are_those_of_published_checkpoints() -> None:
    from segtween.networks import build

    own = [[key, list(value.shape)] for key, value in build("swiftnet-r18", classes=19).state_dict().items()]
    assert own == [[key, shape] for key, shape, _ in INDEX["networks"]["swiftnet_r18_seed"]["manifest"]]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("case", CASES[1:3])
def test_exported_graph_equals_the_public_code(case: dict[str, Any], runtime: str, tmp_path: Path) -> None:
    from segtween.labels import numbered
    from segtween.models.weights import write_weights_bin
    from segtween.networks.export import export_graph

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
