"""Where the shared data lies, and which tests run where.

`slow` and `train` tests are off on a user's first run; where CI is set, nothing is left out and a
missing capability fails instead of skipping. SEGTWEEN_SHARED=none says that there is no shared data and leaves out,
in CI too, the tests that need it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from segtween.ops import threads
from segtween.runtimes.openvino import own_signal_stack

IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
WITHOUT_SHARED = os.environ.get("SEGTWEEN_SHARED") == "none"
SHARED = Path(os.environ.get("SEGTWEEN_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def pytest_configure() -> None:
    # A shell's background jobs begin with Ctrl-C ignored; the tests of Ctrl-C, and what they start, must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes depends on what else the machine does.
    settings.register_profile("without-deadline", deadline=None)
    settings.load_profile("without-deadline")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    has_torch = importlib.util.find_spec("torch") is not None
    chosen = bool(config.getoption("-m"))
    for item in items:
        if WITHOUT_SHARED and item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason="SEGTWEEN_SHARED=none"))
        if IN_CI:
            continue
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data folder at {SHARED}; set SEGTWEEN_SHARED"))
        if item.get_closest_marker("train") and not has_torch:
            item.add_marker(pytest.mark.skip(reason="needs the extra [train]"))
        if item.get_closest_marker("slow") and not chosen:
            item.add_marker(pytest.mark.skip(reason="slow; run with `pytest -m slow` or CI=true"))


@pytest.fixture(autouse=True)
def _own_signal_stack() -> Iterator[None]:
    """For tests that compile with OpenVINO themselves: a later Ctrl-C must not meet a signal stack that is gone."""
    with own_signal_stack():
        yield


@pytest.fixture
def many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many threads as a test asks for, however few processors the machine has."""
    monkeypatch.setattr(threads, "available_threads", lambda: 16)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.fail(f"no data folder at {SHARED}; set SEGTWEEN_SHARED")
    return SHARED
