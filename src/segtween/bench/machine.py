"""What speed and precision depend on here: processor, precisions, threads, versions, cards; for bug reports."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.bench.report import Report, versions
from segtween.models.weights import cache_folder
from segtween.ops.threads import available_threads
from segtween.texttable import TextTable

FEATURES = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512vnni": "AVX-512 VNNI", "avxvnni": "AVX-VNNI",
    "avx512bf16": "AVX-512 bf16", "amx-int8": "AMX int8", "amx-bf16": "AMX bf16", "dotprod": "Arm dot product",
    "i8mm": "Arm int8 matrices", "bf16": "Arm bf16",
}  # fmt: skip
"""Instructions that decide about precisions and speed: LLVM's name -> the usual one."""
OF_ARM = ("dotprod", "i8mm", "bf16")
ARM = ("aarch64", "arm64")
VARIABLES = (
    "SEGTWEEN_CACHE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "NUMBA_DISABLE_JIT",
    "NUMBA_CACHE_DIR",
    "NUMBA_CPU_NAME",
)
"""Of the environment: those that change what is computed with, or where."""
CARDS = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class MachineReport(Report):
    """`features` holds those of this kind of processor, True where it has them; `precisions` the same of float32,
    bfloat16 and int8. `cards` names each graphics card by who sees it."""

    versions: dict[str, str]
    system: str
    processor: str
    features: dict[str, bool]
    precisions: dict[str, bool]
    threads: int
    processors: int
    cache: Path
    cards: dict[str, list[str]]
    environment: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "cache": _at_home(self.cache)}

    def tables(self) -> list[TextTable | str]:
        cards = [f"{card} ({who})" for who, seen in self.cards.items() for card in seen]
        lines = {
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            "system": self.system,
            "processor": self.processor,
            "features": _told(self.features),
            "precisions": _told(self.precisions),
            "threads": f"{self.threads} of {self.processors} processors may be used",
            "cache": _at_home(self.cache),
            "graphics cards": "; ".join(cards) or "none seen",
            "environment": ", ".join(f"{name}={value}" for name, value in self.environment.items()) or "nothing set",
        }
        return ["\n".join(f"{name}: {value}" for name, value in lines.items())]


def look_at_machine(*, with_torch: bool = False) -> MachineReport:
    """Looks at this machine, in a second or two. torch, which takes seconds to load, is asked for its cards on request
    only, where it is installed."""
    return MachineReport(
        versions=versions("av", "llvmlite"),
        system=platform.platform(),
        processor=processor_name(),
        features=features(),
        precisions=precisions(),
        threads=available_threads(),
        processors=os.cpu_count() or 1,
        cache=cache_folder(),
        cards=_cards(with_torch=with_torch),
        environment={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def processor_name() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def features() -> dict[str, bool]:
    """Whether this processor has each of those `FEATURES` that its kind may have, by their usual names."""
    from llvmlite import binding

    is_arm = platform.machine().lower() in ARM
    try:
        found = binding.get_host_cpu_features()
    except RuntimeError:  # systems on which LLVM cannot tell
        found = {}
    return {usual: bool(found.get(name)) for name, usual in FEATURES.items() if (name in OF_ARM) == is_arm}


def precisions() -> dict[str, bool]:
    """Whether the default runtime really computes networks in each of them here, not whether it can be asked to."""
    from segtween.runtimes.openvino import bfloat16_is_right, core, int8_weight_bits, networks_compile

    has_bfloat16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and bfloat16_is_right()
    bits = int8_weight_bits()
    computed = {"float32": True, "bfloat16": has_bfloat16, f"int8 ({bits or 8}-bit weights)": bits > 0}
    return {name: is_right and networks_compile() for name, is_right in computed.items()}


def _cards(*, with_torch: bool) -> dict[str, list[str]]:
    from segtween.runtimes.openvino import core

    runtime = core()
    devices = [name for name in runtime.available_devices if name.startswith(("GPU", "NPU"))]
    seen = {"OpenVINO": [f"{name} {runtime.get_property(name, 'FULL_DEVICE_NAME')}" for name in devices]}
    seen["nvidia-smi"] = _driver_s_cards()
    if with_torch:
        from segtween.device import card_names

        seen["torch"] = card_names()
    return seen


def _driver_s_cards() -> list[str]:
    """What NVIDIA's driver says, where its tool is installed."""
    if shutil.which(CARDS[0]) is None:
        return []
    try:
        done = subprocess.run(CARDS, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]


def _told(found: dict[str, bool]) -> str:
    have, lacking = ([name for name, has in found.items() if has == wanted] for wanted in (True, False))
    return (", ".join(have) or "none of these") + (f" (not here: {', '.join(lacking)})" if lacking else "")


def _at_home(path: Path) -> str:
    """The path, without the user's name where it is below their folder."""
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):
        return str(path)
