"""The reference system's networks, warp, edge and sequence give the numbers of public code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_cases import CHECKPOINT, array, cases, fill, load_filled, manifest, share_changed, worst_error
from segtween.networks import FLOWS, NETWORKS, build, build_flow, build_refiner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train
FLOW_OF = {"flownets_seed": "flownets", "flownet2s_nvidia": "flownet2s", "flowlight_seed": "flow-light"}


def loaded(net: Any, case: dict[str, Any], shared: Path | None) -> Any:
    """`net` with the case's weights: seeded, or a part of the published checkpoint."""
    if "seed" in case["weights"]:
        return load_filled(net, case)
    assert shared is not None
    return filled(net, shared, case["weights"]["entry"]).eval()


def filled(net: Any, shared: Path, part: str) -> Any:
    """`net` with a part of the published checkpoint."""
    from segtween.networks.checkpoints import read_checkpoint
    from segtween.networks.fitting import identify, load_into

    own, file = identify(net.state_dict()), shared / "weights" / CHECKPOINT
    assert own is not None
    load_into(net, read_checkpoint(file).part(part)[1], kind=own.kind, source=str(file))
    return net


def published(case: dict[str, Any], request: pytest.FixtureRequest) -> Path | None:
    return request.getfixturevalue("shared") if "checkpoint" in case["weights"] else None


def bgr(images_u8: Any) -> Any:
    return torch.from_numpy(fill.normalise(images_u8, fill.IMG_MEAN_BGR, fill.IMG_STD_BGR, bgr=True))


@pytest.mark.parametrize("case", cases("swiftnet_r18_pyramid"))
def test_pyramid(case: dict[str, Any]) -> None:
    from segtween.networks.swiftnet import enlarge

    net = load_filled(build("swiftnet-r18-pyramid", classes=case["num_classes"]), case)
    spec = NETWORKS["swiftnet-r18-pyramid"]
    image = torch.from_numpy(fill.normalise(array(case, "image_u8"), spec.mean, spec.std))
    with torch.no_grad():
        logits = net(image)
    assert worst_error(case, "logits_stride4", logits) <= 1
    assert worst_error(case, "logits", enlarge(logits, case["image_size"])) <= 1


@pytest.mark.parametrize("case", cases("bisenet_r18"))
def test_bisenet(case: dict[str, Any]) -> None:
    net = load_filled(build("bisenet-r18", classes=case["num_classes"]), case)
    spec = NETWORKS["bisenet-r18"]
    image = torch.from_numpy(fill.normalise(array(case, "image_u8"), spec.mean, spec.std))
    with torch.no_grad():
        assert worst_error(case, "logits", net(image)) <= 1


@pytest.mark.parametrize("case", cases("flownets_seed", "flowlight_seed"))
def test_flow_on_normalised_images(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    net = loaded(build_flow(FLOW_OF[case["network"]]), case, published(case, request))
    spec = FLOWS[FLOW_OF[case["network"]]]
    assert (spec.channels, spec.mean, spec.std) == ("BGR", fill.IMG_MEAN_BGR, fill.IMG_STD_BGR)
    previous, current = bgr(array(case, "clip_u8")).split(1)
    with torch.no_grad():
        assert worst_error(case, "flow", net(current, previous)) <= 1


@pytest.mark.parametrize("case", cases("flownet2s_nvidia"))
def test_flownet2s_prepares_its_pixels(case: dict[str, Any]) -> None:
    net = load_filled(build_flow("flownet2s"), case)
    first, second = torch.from_numpy(array(case, "clip_u8")).permute(0, 3, 1, 2).float().split(1)
    with torch.no_grad():
        assert worst_error(case, "flow2", net.coarse(first, second)) <= 1
        assert worst_error(case, "flow", net(first, second)) <= 1


@pytest.mark.parametrize("case", cases("gsv_fusion_seed"))
def test_guided_convolution(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    net = loaded(build_refiner(classes=19), case, published(case, request))
    with torch.no_grad():
        refined = net(torch.from_numpy(array(case, "logits")), bgr(array(case, "image_u8")))
    assert worst_error(case, "pred", refined.scores) <= 1
    assert worst_error(case, "guide", refined.guide) <= 1
    assert share_changed(case, "edge", refined.edge) == 0


@pytest.mark.parametrize("case", cases("warp_seed"))
def test_warp(case: dict[str, Any]) -> None:
    from segtween.networks.reference import reference_warp

    features = torch.from_numpy(array(case, "features"))
    zero = case["inputs"][1].get("made") == "zeros"
    flow = np.zeros(case["inputs"][1]["shape"], np.float32) if zero else array(case, "flow")
    corners = "kept" if case.get("align_corners") else "apart"
    before = flow.copy()
    warped = reference_warp(features, torch.from_numpy(flow), corners=corners)
    assert worst_error(case, "warped", warped) <= 1
    assert np.array_equal(flow, before)


def test_warp_of_several_references_is_their_sum() -> None:
    from segtween.networks.reference import reference_warp

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 4, 6, 9, generator=generator)
    flow = 3 * torch.randn(6, 2, 6, 9, generator=generator)
    expected = reference_warp(features.flatten(0, 1), flow).unflatten(0, (2, 3)).sum(1)
    assert torch.equal(reference_warp(features, flow), expected)


@pytest.mark.shared
def test_sequence_with_the_published_weights(shared: Path) -> None:
    """The reference's chain: key scores at 1/8, flow from small pairs, its warp, its edge, guided convolution."""
    from segtween.networks.bisenet import keep_corners
    from segtween.networks.chain import Chain, small
    from segtween.networks.reference import reference_edge

    frames = [p.values[0] for p in cases("sequence_seed")]
    flow_net = filled(build_flow("flow-light"), shared, "state_dict_of")
    refiner = filled(build_refiner(classes=19), shared, "state_dict")
    images = bgr(array(frames[0], "clip_u8"))
    size = images.shape[-2:]
    key = keep_corners(torch.from_numpy(array(frames[0], "key_logits")), (size[0] // 8, size[1] // 8))
    with torch.no_grad():
        steps = Chain(flow_net, refiner).eval()(key, small(images).split(1))
    found = [(key, reference_edge(key)), *((step.scores, step.edge) for step in steps)]
    for case, (scores, edge) in zip(frames, found, strict=True):
        assert worst_error(case, "logits", scores) <= 1
        assert share_changed(case, "edge", edge) <= 1e-4
        assert share_changed(case, "labels", keep_corners(scores, size).argmax(1)) <= 1e-4


@pytest.mark.parametrize(
    ("name", "build_it"),
    [
        ("swiftnet_r18_pyramid", lambda: build("swiftnet-r18-pyramid", classes=19)),
        ("bisenet_r18", lambda: build("bisenet-r18", classes=19)),
        ("flownets_seed", lambda: build_flow("flownets")),
        ("flownet2s_nvidia", lambda: build_flow("flownet2s")),
        ("flowlight_seed", lambda: build_flow("flow-light")),
        ("gsv_fusion_seed", lambda: build_refiner(classes=19)),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_keys_and_shapes_are_those_of_published_checkpoints(name: str, build_it: Any) -> None:
    with torch.device("meta"):
        own = {key: tuple(value.shape) for key, value in build_it().state_dict().items()}
    assert own == manifest(name)
