"""Tests with the libraries that networks come from, in an environment of their own: `make test-adapters`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    import torch

    # The compiled part of PyPI's torchvision needs torch built with CUDA; without it, its import looks for two names.
    if torch.version.cuda is None:
        OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import segmentation_models_pytorch  # noqa: F401
    import torchvision  # noqa: F401
    import transformers
except ImportError as error:
    pytest.exit(f"{error}; these tests have an environment of their own: make test-adapters", returncode=1)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def pytest_fixture_setup() -> None:
    """Random weights are the same in every run, whichever tests ran before."""
    torch.manual_seed(1)


def pytest_runtest_call() -> None:
    torch.manual_seed(1)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("SEGTWEEN_CACHE")
    os.environ["SEGTWEEN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("SEGTWEEN_CACHE")
    if before is not None:
        os.environ["SEGTWEEN_CACHE"] = before


@pytest.fixture(scope="session")
def exports() -> Path:
    return Path(os.environ["SEGTWEEN_CACHE"]) / "exports"
