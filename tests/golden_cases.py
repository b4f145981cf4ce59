"""Golden cases: outputs of public reference networks for weights and inputs made from seeds (golden/fill.py)."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text())
CHECKPOINT = "cityscapes-swnet_model_best.pth.tar"
Case = dict[str, Any]
LOG = logging.getLogger("golden")  # shown by pytest --log-cli-level=INFO


def _fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_fill", GOLDEN / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = _fill()


def cases(*names: str) -> list[Any]:
    """Every golden case of these networks as pytest parameters; `network` in a case says which."""
    import pytest

    def every() -> Iterator[Any]:
        for name in names:
            for case in INDEX["networks"][name]["cases"]:
                published = "checkpoint" in case.get("weights", {})
                marks = [pytest.mark.shared] if published else []
                yield pytest.param({"network": name, **case}, id=case["file"].removesuffix(".npz"), marks=marks)

    return list(every())


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a network's state dict, for the first case's number of classes."""
    return {key: tuple(shape) for key, shape, _ in INDEX["networks"][name]["manifest"]}


def array(case: Case, name: str) -> Any:
    """An input that is made from a seed; what is made from others is made by the test."""
    entry = next(i for i in case["inputs"] if i["name"] == name)
    made = fill.fill_input(entry["shape"], entry["seed"], entry["kind"])
    assert fill.sha256(made) == case["inputs_sha256"][name]
    return made


def filled(case: Case, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The weights of a case that makes them from a seed."""
    state = fill.fill_state_dict(shapes, case["weights"]["seed"])
    assert fill.sha256_state(state) == case["weights"]["sha256"]
    return dict(state)


def load_filled(net: Any, case: Case) -> Any:
    """`net` in eval mode with the case's seeded weights."""
    import torch

    state = filled(case, {key: tuple(value.shape) for key, value in net.state_dict().items()})
    net.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    return net.eval()


def worst_error(case: Case, output: str, values: Any) -> float:
    """Largest absolute error relative to the case's tolerance, 1e-4 std + 1e-4; at most 1 is right."""
    expected, found = _pair(case, output, values)
    error = float(np.abs(found.astype(np.float64) - expected).max() / (1e-4 * case["outputs"][output]["std"] + 1e-4))
    LOG.info("%s %s: %.4f of what is allowed", case["file"], output, error)
    return error


def share_changed(case: Case, output: str, values: Any) -> float:
    """Share of a label map's pixels that differ; at most 1e-4 is right."""
    expected, found = _pair(case, output, values)
    share = float((expected != found).mean())
    LOG.info("%s %s: %.6f of the pixels differ", case["file"], output, share)
    return share


def _pair(case: Case, output: str, values: Any) -> tuple[Any, Any]:
    with np.load(GOLDEN / case["file"]) as stored:
        found = fill.pick(np.asarray(values), stored[f"{output}__start_step_total"])
        return stored[output].reshape(-1), found
