"""What flow, refinement, warp and edge promise beyond golden numbers: batches, gradients, precision, quirks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.networks import build_flow, build_refiner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


def made(net: Any, *shapes: tuple[int, ...]) -> tuple[Any, list[Any]]:
    generator = torch.Generator().manual_seed(0)
    return net.eval(), [torch.randn(*shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("size_hw", [(32, 48), (30, 45)])
def test_a_batch_is_its_images(size_hw: tuple[int, int]) -> None:
    torch.manual_seed(0)
    for net, inputs in (
        made(build_flow("flow-light"), (2, 3, *size_hw), (2, 3, *size_hw)),
        made(build_refiner(classes=5), (2, 5, *size_hw), (2, 3, *size_hw)),
    ):
        with torch.no_grad():
            whole, single = net(*inputs), [net(*(x[i : i + 1] for x in inputs)) for i in range(2)]
        whole = whole if isinstance(whole, tuple) else (whole,)
        for k, found in enumerate(whole):
            expected = torch.cat([s[k] if isinstance(s, tuple) else s for s in single])
            assert torch.allclose(found, expected, atol=1e-5)


def test_every_weight_of_a_chain_gets_a_gradient() -> None:
    """Flow, warp and refinement can be trained together; the shifts are no weights."""
    from segtween.networks.bisenet import keep_corners
    from segtween.networks.reference import reference_warp

    torch.manual_seed(0)
    flow_net, refiner = build_flow("flow-light").train(), build_refiner(classes=4).train()
    current, previous, scores = torch.randn(2, 3, 32, 48), torch.randn(2, 3, 32, 48), torch.randn(2, 4, 32, 48)
    flow = keep_corners(flow_net(current, previous), (32, 48))
    refiner(reference_warp(scores, flow), current).scores.square().mean().backward()
    weights = {**dict(flow_net.named_parameters()), **dict(refiner.named_parameters())}
    assert all(w.grad is not None and torch.isfinite(w.grad).all() for w in weights.values())
    assert sum(bool(w.grad.any()) for w in weights.values()) > 0.9 * len(weights)
    assert not any("filter_copy_s" in key for key in weights)


@settings(max_examples=25)
@given(dx=st.integers(-3, 3), dy=st.integers(-3, 3), height=st.integers(2, 9), width=st.integers(2, 9))
def test_warp_with_kept_corners_shifts_exactly(dx: int, dy: int, height: int, width: int) -> None:
    """In quarters of a pixel; outside is zero."""
    from segtween.networks.reference import reference_warp

    picture = torch.arange(1.0, height * width + 1).view(1, 1, height, width)
    flow = torch.tensor([4.0 * dx, 4.0 * dy]).view(1, 2, 1, 1).expand(1, 2, height, width)
    found = reference_warp(picture, flow, corners="kept")[0, 0].numpy()
    expected = np.zeros((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                expected[y, x] = picture[0, 0, y + dy, x + dx]
    assert np.allclose(found, expected, atol=1e-2)


def test_warp_with_corners_apart_reads_the_documented_coordinate() -> None:
    from segtween.networks.reference import reference_warp

    width, height = 9, 7
    ramp = torch.arange(float(width)).expand(1, 1, height, width)
    flow = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, height, width)
    found = reference_warp(ramp, flow)[0, 0, 3]
    read = (torch.arange(float(width)) + 0.5) * width / (width - 1) - 0.5
    inside = (read >= 0) & (read <= width - 1)
    assert torch.allclose(found[inside], read[inside], atol=1e-5)
    ones = reference_warp(torch.ones(1, 1, height, width), 0 * flow)[0, 0]
    assert torch.allclose(ones[3, 0], torch.tensor(0.5))
    assert torch.allclose(ones[0, 0], torch.tensor(0.25))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_move_the_picture(kind: Any) -> None:
    from segtween.networks.reference import reference_warp

    picture, flow = torch.rand(1, 2, 8, 600).to(kind), torch.zeros(1, 2, 8, 600, dtype=kind)
    assert torch.equal(reference_warp(picture, flow), reference_warp(picture.float(), flow.float()))


def one_hot(labels: list[list[int]], classes: int) -> Any:
    return torch.nn.functional.one_hot(torch.tensor(labels), classes).permute(2, 0, 1)[None].float()


def test_edge_has_the_quirks_of_the_reference() -> None:
    from segtween.networks.reference import reference_edge

    inside_zero = reference_edge(one_hot([[0] * 5] * 5, 4))
    assert not inside_zero.any()
    border = reference_edge(one_hot([[2] * 5] * 5, 4))[0, 0]
    assert border.sum() == 16
    assert not border[1:-1, 1:-1].any()
    cancelling = reference_edge(one_hot([[1, 2, 3]] * 5, 4))[0, 0]
    assert not cancelling[1:-1, 1].any()


def test_guide_that_wants_nothing_gives_zero_scores() -> None:
    """No softmax: where all weights are 0, so are the scores, also in half precision."""
    torch.manual_seed(0)
    net, (scores, image) = made(build_refiner(classes=3), (1, 3, 8, 8), (1, 3, 8, 8))
    net.grm["guide"].guide_decoder[1].bias.data.fill_(-100)
    with torch.no_grad():
        for refined in (net(scores, image), net.bfloat16()(scores.bfloat16(), image.bfloat16())):
            assert not refined.scores.any()
            assert not refined.guide.any()


def test_silenced_edge_equals_no_edge_anywhere() -> None:
    """Weights trained with the edge, run without it: its filters see zeros."""
    torch.manual_seed(0)
    with_edge, (scores, image) = made(build_refiner(classes=3), (1, 3, 8, 12), (1, 3, 8, 12))
    silenced = build_refiner(classes=3, edge="zero").eval()
    absent = build_refiner(classes=3, edge="absent").eval()
    state = with_edge.state_dict()
    silenced.load_state_dict(state)
    first = "grm.guide.guide_conv.0.weight"
    absent.load_state_dict(state | {first: state[first][:, :3]})
    with torch.no_grad():
        assert torch.allclose(silenced(scores, image).scores, absent(scores, image).scores, atol=1e-6)
        assert not torch.allclose(silenced(scores, image).scores, with_edge(scores, image).scores)
