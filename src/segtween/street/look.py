"""Weather and camera response of a drive, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.street.mesh import Array
from segtween.street.shade import ENV, ENV_SIZE


@dataclass(frozen=True)
class Look:
    env: Array
    tone: NDArray[np.float64]
    foliage: str


def look(seed: int) -> Look:
    """Sun and clouds, haze, exposure, noise, wear of the road paint."""
    rng = np.random.default_rng([seed, 71])
    env = np.zeros(ENV_SIZE)

    def put(name: str, value: Any) -> None:
        v = np.atleast_1d(np.asarray(value, np.float64))
        env[ENV[name] : ENV[name] + len(v)] = v

    weather = str(rng.choice(["clear", "mixed", "overcast", "hazy", "late"], p=[0.3, 0.25, 0.2, 0.12, 0.13]))
    high = np.radians({"clear": rng.uniform(32, 62), "late": rng.uniform(16, 26)}.get(weather, rng.uniform(30, 55)))
    around = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(around) * np.cos(high), np.sin(around) * np.cos(high), np.sin(high)])
    sun_colour = {"clear": (2.9, 2.7, 2.35), "mixed": (2.5, 2.35, 2.1), "overcast": (0.34, 0.34, 0.35),
                  "hazy": (1.5, 1.42, 1.25), "late": (2.7, 2.0, 1.25)}[weather]  # fmt: skip
    sky = {"clear": (0.30, 0.52, 1.0), "mixed": (0.42, 0.60, 0.98), "overcast": (0.95, 1.0, 1.06),
           "hazy": (0.80, 0.90, 1.04), "late": (0.38, 0.50, 0.85)}[weather]  # fmt: skip
    haze = {"clear": (1.0, 1.18, 1.38), "mixed": (1.1, 1.2, 1.32), "overcast": (1.25, 1.27, 1.3),
            "hazy": (1.4, 1.4, 1.38), "late": (1.5, 1.2, 0.95)}[weather]  # fmt: skip
    if weather == "overcast":
        sun = np.array([0.25 * np.cos(around), 0.25 * np.sin(around), 1.0])
        sun /= np.linalg.norm(sun)
    put("sun", sun)
    put("sun_colour", sun_colour)
    put("sky_colour", sky)
    put("haze_colour", haze)
    put("bounce", 0.22 * np.asarray(sky) + 0.13 * np.asarray(sun_colour) * np.sin(high))
    put(
        "haze",
        {"hazy": rng.uniform(1 / 170, 1 / 110), "overcast": rng.uniform(1 / 420, 1 / 240)}.get(
            weather, rng.uniform(1 / 650, 1 / 350)
        ),
    )
    bright = {"clear": 0.60, "mixed": 0.66, "overcast": 0.92, "hazy": 0.70, "late": 0.72}[weather]
    put("exposure", bright * float(np.exp(rng.normal(0, 0.22))))
    put("clouds", {"clear": rng.uniform(0.0, 0.5), "mixed": rng.uniform(0.45, 0.7), "overcast": rng.uniform(0.8, 1.0),
                   "hazy": rng.uniform(0.2, 0.6), "late": rng.uniform(0.3, 0.65)}[weather])  # fmt: skip
    put("cloud_seed", rng.uniform(0, 1))
    put("noise", rng.uniform(0.0, 1.9) ** 1.3)
    put("shadow_reach", 85.0)
    put("markings", int(rng.integers(3)))
    put("wear", rng.uniform(0.15, 0.75))
    put("vignette", rng.uniform(0.0, 0.5))
    put("tree_colour", (0.20, 0.26, 0.12))
    warm = float(np.exp(rng.normal(0, 0.035)))
    env[ENV["sun_colour"]] *= warm
    env[ENV["sun_colour"] + 2] /= warm
    x = np.arange(4096) / 512.0
    contrast = rng.uniform(1.15, 1.45)
    curve = 1 - np.exp(-1.5 * x**contrast)
    srgb = np.where(curve <= 0.0031308, 12.92 * curve, 1.055 * np.maximum(curve, 1e-9) ** (1 / 2.4) - 0.055)
    black = rng.uniform(0, 5)
    foliage = "bare" if rng.random() < 0.3 else "green"
    return Look(env, black + (255.0 - black) * srgb, foliage)
