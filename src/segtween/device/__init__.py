"""The method on a graphics card: frames, scores, flow and labels stay in the card's memory (docs/gpu.md).

| module | what it is |
| --- | --- |
| `backend` | the device as a backend of `segtween.build` |
| `arrays.TorchOps` | the engine's array operations, the twin of `ops.cpu.CpuOps` |
| `flows`, `search` | twins of the rows of `segtween.flow.FLOWS`; dense inverse search |
| `segmenter`, `preprocess` | networks of `segtween.networks` in half precision, and their input |
| `kernels`, `eager`, `sampling` | the heaviest loops fused, in Triton, and in eager torch with the same results |
| `graphs`, `engine` | captured calls, and the engine that uses them |

| `--device` | what runs |
| --- | --- |
| `cpu` | everything else in this package: no torch |
| `cuda`, `cuda:1` | a card of NVIDIA's |
| `torch-cpu` | the same code on the processor, for testing; slower than `cpu` |

Needs the extra [gpu]. Nothing here is imported, and torch is not, unless a device is asked for.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, fields
from typing import Any

from segtween.errors import SettingError, check_known, from_extra

CPU, TORCH_CPU = "cpu", "torch-cpu"


@dataclass(frozen=True)
class Fast:
    """What makes a card fast and can be switched off; without any of it the results are the same, but for `half`.

    half      the network in float16, its images in channels-last order
    kernels   fused kernels (Triton)
    graphs    calls captured once and replayed (CUDA graphs)
    compiled  the network through torch.compile
    """

    half: bool = True
    kernels: bool = True
    graphs: bool = True
    compiled: bool = True

    @classmethod
    def without(cls, *names: str) -> Fast:
        """All but some; SettingError for an unknown name."""
        known = [field.name for field in fields(cls)]
        for name in names:
            check_known(f"without {name!r}", name, known)
        return cls(**dict.fromkeys(names, False))

    @classmethod
    def nothing(cls) -> Fast:
        """What there is on a processor."""
        return cls(half=False, kernels=False, graphs=False, compiled=False)

    def to_json(self) -> dict[str, bool]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def has_kernels() -> bool:
    """Whether Triton is here, which torch brings along where it is built with CUDA."""
    return importlib.util.find_spec("triton") is not None


def check_device(name: str) -> str:
    """`name` itself; SettingError for what is no device."""
    if name in (CPU, TORCH_CPU) or re.fullmatch(r"cuda(:\d+)?", name):
        return name
    raise SettingError(f"device {name!r}", expected=f"{CPU}, cuda, cuda:1 or {TORCH_CPU}", do="choose one of these")


def torch_device(name: str, *, threads: int = 0) -> Any:
    """The `torch.device`; MissingExtraError without torch, SettingError where there is no such card.

    `threads`, unless 0, are torch's on a processor from here on.
    """
    check_device(name)
    torch = from_extra("torch", f"device {name}", extra="gpu")
    if name in (CPU, TORCH_CPU):
        if threads:
            torch.set_num_threads(threads)
        return torch.device("cpu")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name)
    if (device.index or 0) >= found:
        cards = f"{found} of them here" if found else "none here"
        built = "" if torch.version.cuda else ", and a torch built with CUDA"
        raise SettingError(
            f"device {name}", expected=f"a card that CUDA can use ({cards}){built}", do="give device='cpu'"
        )
    return torch.device("cuda", device.index or 0)


def card_names() -> list[str]:
    """The cards that torch can use, which it is loaded for; none where it is not installed."""
    try:
        import torch
    except ImportError:
        return []
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in range(count)]
