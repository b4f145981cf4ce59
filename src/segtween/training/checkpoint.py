"""Atomic checkpoints: written under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from segtween.errors import ModelError, SettingError, SinkError, os_errors
from segtween.training.task import Position, Task
from segtween.validation import whole_file


def store(path: Path, task: Task, position: Position, scaler: torch.amp.GradScaler) -> None:
    """Everything that a training needs to go on as if it had not stopped."""
    state = {
        **{name: net.state_dict() for name, net in task.nets.items()},
        "optimiser": task.optimiser.state_dict(),
        "scaler": scaler.state_dict(),
        "rng": torch.get_rng_state(),
        **asdict(position),
        "recipe": task.recipe.sha256,
        "data": task.data_sha256,
        "recipe_values": json.dumps(asdict(task.recipe)),
    }
    save(path, state)


def restore(path: Path, task: Task, scaler: torch.amp.GradScaler) -> Position:
    """Fill the task and the scaler with what `store` wrote.

    Checkpoints that were written before all kinds of training shared one form lack what their kind did not need.
    """
    state = load(path)
    check_same(state, path, recipe=task.recipe.sha256, data=task.data_sha256)
    for name, net in task.nets.items():
        net.load_state_dict(state[name])
    task.optimiser.load_state_dict(state["optimiser"])
    scaler.load_state_dict(state.get("scaler", {}))
    if "rng" in state:
        torch.set_rng_state(state["rng"])
    return Position(**{f.name: state[f.name] for f in fields(Position) if f.name in state})


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state`; a kill at any moment leaves the earlier checkpoint or the new one, both whole."""
    errors = os_errors(
        SinkError,
        f"checkpoint {path} cannot be written",
        expected="a writable folder with some room",
        do="free some, then run the same command again: it goes on from the last checkpoint",
    )
    with errors, whole_file(path) as part, open(part, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote; nothing but tensors and plain values is accepted."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise ModelError(
            f"checkpoint {path} cannot be read ({str(error).splitlines()[0][:80]})",
            expected="a file that `segtween train` wrote",
            do="delete it to begin anew",
        ) from None
    if not isinstance(state, dict) or "model" not in state or "step" not in state:
        raise ModelError(
            f"checkpoint {path} holds no training state",
            expected="a file that `segtween train` wrote",
            do="delete it to begin anew",
        )
    return state


def check_same(state: dict[str, Any], path: Path, *, recipe: str, data: str) -> None:
    """Refuse to go on from another training: SettingError if recipe or data differ from the checkpoint's."""
    for what, own in (("recipe", recipe), ("data", data)):
        if state[what] != own:
            raise SettingError(
                f"{path} was made with another {what} ({state[what][:12]}, now {own[:12]})",
                expected="the same training",
                do="give another out=, or resume=False to begin anew",
            )
