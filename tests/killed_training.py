"""A training that is stopped at one of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import pytest


@contextmanager
def killed_at(call: int, task: ModuleType, loss: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The training in the block is stopped when `task` computes its `loss` for the `call`th time. Checkpoints are
    written every two steps, afterwards too."""
    from segtween.training import loop

    original: Callable[..., Any] = getattr(task, loss)
    calls = count(1)

    def dying(*args: Any, **options: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **options)

    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(task, loss, dying)
    with pytest.raises(KeyboardInterrupt):
        yield
    monkeypatch.setattr(task, loss, original)
