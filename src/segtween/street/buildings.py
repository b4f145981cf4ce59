"""Houses, shops and offices on given ground corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segtween.street.mesh import BOTH_SIDES, PLAIN, TEXTURED, Array, Colour, Material, Mesh
from segtween.street.textures import LAYER

BRICKS: tuple[Colour, ...] = (
    (0.42, 0.20, 0.14), (0.50, 0.27, 0.18), (0.62, 0.48, 0.30), (0.55, 0.42, 0.30), (0.36, 0.22, 0.18),
    (0.66, 0.55, 0.40),
)  # fmt: skip
PLASTERS: tuple[Colour, ...] = (
    (0.80, 0.78, 0.72), (0.78, 0.70, 0.54), (0.70, 0.58, 0.46), (0.62, 0.68, 0.70), (0.74, 0.62, 0.58),
    (0.82, 0.80, 0.78), (0.60, 0.64, 0.56), (0.76, 0.66, 0.42),
)  # fmt: skip
STONES: tuple[Colour, ...] = ((0.66, 0.60, 0.50), (0.58, 0.55, 0.50), (0.70, 0.66, 0.58), (0.48, 0.45, 0.42))
GREYS: tuple[Colour, ...] = ((0.62, 0.62, 0.62), (0.72, 0.71, 0.68), (0.44, 0.46, 0.48), (0.60, 0.56, 0.50))
ROOFS: tuple[Colour, ...] = (
    (0.42, 0.20, 0.14),
    (0.30, 0.17, 0.13),
    (0.24, 0.24, 0.26),
    (0.20, 0.21, 0.23),
    (0.36, 0.26, 0.2),
)


@dataclass(frozen=True)
class Style:
    """What a building of a zone may look like: facade and wall textures, colours, storeys, ground floors, roof."""

    facades: tuple[str, ...]
    wall: str
    colours: tuple[Colour, ...]
    storeys: tuple[int, int]
    ground: tuple[str, ...]
    flat: float
    bay: float = 3.2


STYLES = {
    "brick": Style(("sash",), "brick", BRICKS, (2, 4), ("shop", "shop2", "shop3", "houses"), 0.25, 3.0),
    "terrace": Style(("sash",), "brick", BRICKS, (2, 3), ("houses",), 0.0, 2.7),
    "plaster": Style(("sash2", "shutters"), "plaster", PLASTERS, (2, 4), ("shop", "shop3", "houses2"), 0.2, 2.9),
    "cottage": Style(("sash2", "shutters"), "plaster", PLASTERS, (2, 2), ("houses2",), 0.0, 3.0),
    "stone": Style(("georgian",), "stone", STONES, (3, 5), ("shop", "shop2", "georgian"), 0.6, 2.8),
    "office": Style(("office", "modern"), "concrete", GREYS, (3, 7), ("shop2", "office"), 1.0, 3.4),
}


def _wall(
    mesh: Mesh, a: Array, b: Array, low: float, high: float, material: Material, *,
    uv: tuple[float, float, float, float],    light: tuple[float, float] = (1.0, 1.0),
) -> None:  # fmt: skip
    """A vertical wall from a to b, left to right as seen from outside; uv = u0, v0, u1, v1."""
    points = [(*a, low), (*b, low), (*b, high), (*a, high)]
    u0, v0, u1, v1 = uv
    mesh.quads([points], material, uv=[[(u0, v0), (u1, v0), (u1, v1), (u0, v1)]],
               light=[[light[0], light[0], light[1], light[1]]])  # fmt: skip


def ledge(mesh: Mesh, a: Array, b: Array, low: float, high: float, out: float, material: Material) -> None:
    """A bar along a wall that stands out by `out` metres: cornice, sill, board."""
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    n = np.array([along[1], -along[0]]) * out
    p, q = a + n, b + n
    length = float(np.linalg.norm(b - a))
    _wall(mesh, p, q, low, high, material, uv=(0, 0, length / 3, (high - low) / 3))
    both = Material(material.kind, material.label, material.colour, material.layer, material.parameter, BOTH_SIDES)
    flat_uv = [[(0, 0), (length / 3, 0), (length / 3, 0.1), (0, 0.1)]]
    mesh.quads([[(*p, high), (*q, high), (*b, high), (*a, high)]], both, uv=flat_uv)
    mesh.quads([[(*p, low), (*q, low), (*b, low), (*a, low)]], both, uv=flat_uv, light=[[0.5] * 4])
    for e, f in ((a, p), (q, b)):
        mesh.quads([[(*e, low), (*f, low), (*f, high), (*e, high)]], both, uv=flat_uv)


def _windows(
    mesh: Mesh, a: Array, b: Array, low: float, storeys: int, storey: float, bay: float, layer: int, tint: Colour,
    start: int,
) -> None:  # fmt: skip
    bays = max(1, round(float(np.linalg.norm(b - a)) / bay))
    material = Material(TEXTURED, "building", tint, layer)
    _wall(mesh, a, b, low, low + storeys * storey, material, uv=(start / 2, 0, (start + bays) / 2, storeys / 2),
          light=(0.92, 1.0))  # fmt: skip


def _gable(mesh: Mesh, c: list[Array], top: float, rise: float, roof: Material, wall: Material) -> None:
    """Ridge along the street; eaves reach over front and back."""
    a, b, back_b, back_a = c
    left, right = (a + back_a) / 2, (b + back_b) / 2
    depth = float(np.linalg.norm(back_a - a)) / 2
    length = float(np.linalg.norm(b - a))
    slope = float(np.hypot(depth, rise))
    for p, q, r, t in ((a, b, right, left), (back_b, back_a, left, right)):
        e0, e1 = p + (p - t) / depth * 0.35, q + (q - r) / depth * 0.35
        low = top - 0.35 * rise / depth
        uv = [[(0, 0), (length / 3.2, 0), (length / 3.2, slope / 3.2), (0, slope / 3.2)]]
        mesh.quads([[(*e0, low), (*e1, low), (*r, top + rise), (*t, top + rise)]], roof, uv=uv)
        gutter = Material(PLAIN, "building", (0.05, 0.05, 0.055), flags=BOTH_SIDES)
        mesh.quads([[(*e0, low - 0.14), (*e1, low - 0.14), (*e1, low), (*e0, low)]], gutter)
    for p, q, tip in ((b, back_b, right), (back_a, a, left)):
        w = float(np.linalg.norm(q - p)) / 3.2
        mesh.triangles([[(*p, top), (*q, top), (*tip, top + rise)]], wall, uv=[[(0, 0), (w, 0), (w / 2, rise / 3.2)]])


def _chimney(mesh: Mesh, at: Array, base: float, rng: np.random.Generator) -> None:
    brick = Material(TEXTURED, "building", BRICKS[int(rng.integers(len(BRICKS)))], LAYER["brick"])
    x, y = at
    w, h = rng.uniform(0.5, 0.9), rng.uniform(1.0, 1.7)
    side = Mesh()
    side.box((-w / 2, -0.35, 0), (w / 2, 0.35, h), brick)
    pot = Material(PLAIN, "building", (0.36, 0.16, 0.1))
    for k in (-0.25, 0.25):
        side.tube((k * w, 0, h), (k * w, 0, h + 0.45), 0.12, 0.1, pot)
    mesh.add(side.freeze(), at=(x, y, base - 0.4), heading=float(rng.uniform(-0.2, 0.2)))


def _shop_front(mesh: Mesh, a: Array, b: Array, ground: float, rng: np.random.Generator) -> None:
    row = int(rng.integers(8))
    board = Material(TEXTURED, "building", layer=LAYER["boards"])
    along = (b - a) / float(np.linalg.norm(b - a))
    n = np.array([along[1], -along[0]])
    length = float(np.linalg.norm(b - a))
    ledge(mesh, a, b, ground - 0.62, ground + 0.02, 0.12, Material(PLAIN, "building", (0.12, 0.12, 0.13)))
    _wall(mesh, a + n * 0.14, b + n * 0.14, ground - 0.58, ground - 0.03, board,
          uv=(0, 1 - (row + 0.96) / 8, max(1, round(length / 5.0)), 1 - (row + 0.04) / 8))  # fmt: skip
    if rng.random() < 0.4:
        hue = Colours.any(rng)
        p, q = a + along * 0.4, b - along * 0.4
        material = Material(PLAIN, "building", hue, flags=BOTH_SIDES)
        far = n * rng.uniform(0.9, 1.4)
        low, high = ground - 1.05, ground - 0.62
        mesh.quads([[(*(p + far), low), (*(q + far), low), (*(q + n * 0.1), high), (*(p + n * 0.1), high)]], material)
        mesh.quads([[(*(p + far), low - 0.2), (*(q + far), low - 0.2), (*(q + far), low), (*(p + far), low)]], material)


class Colours:
    @staticmethod
    def any(rng: np.random.Generator) -> Colour:
        r, g, b = rng.uniform(0.03, 0.5, 3)
        return (float(r), float(g), float(b))


def building(
    mesh: Mesh, corners: Any, rng: np.random.Generator, *, style: str, base: float = 0.12, storeys: int | None = None,
    detached: bool = False,
) -> None:  # fmt: skip
    """`corners`: front left, front right, back right, back left as seen from the street, (4, 2)."""
    c = [np.asarray(p, np.float64)[:2] for p in corners]
    s = STYLES[style]
    tint = s.colours[int(rng.integers(len(s.colours)))]
    tint = tuple(float(np.clip(v * rng.uniform(0.88, 1.1), 0, 1)) for v in tint)  # type: ignore[assignment]
    layer = LAYER[s.facades[int(rng.integers(len(s.facades)))]]
    ground_kind = s.ground[int(rng.integers(len(s.ground)))]
    count = storeys or int(rng.integers(s.storeys[0], s.storeys[1] + 1))
    storey = rng.uniform(2.9, 3.5)
    ground = base + (rng.uniform(3.3, 3.9) if ground_kind.startswith("shop") else storey)
    top = ground + (count - 1) * storey
    start = int(rng.integers(2))
    plain = Material(TEXTURED, "building", tint, LAYER[s.wall])
    a, b, back_b, back_a = c
    length = float(np.linalg.norm(b - a))
    if ground_kind in ("shop", "shop2", "shop3", "houses", "houses2"):
        n = max(1, round(length / 4.2))
        own = tint if ground_kind.startswith("houses") else Colours.any(rng)
        _wall(mesh, a, b, base, ground, Material(TEXTURED, "building", own, LAYER[ground_kind]), uv=(0, 0, n, 1),
              light=(0.62, 0.95))  # fmt: skip
    else:
        _windows(mesh, a, b, base, 1, ground - base, s.bay, layer, tint, start)
    _windows(mesh, a, b, ground, count - 1, storey, s.bay, layer, tint, start)
    for p, q, glazed in ((b, back_b, detached), (back_b, back_a, True), (back_a, a, detached)):
        if glazed:
            _windows(mesh, p, q, base, 1, ground - base, s.bay, layer, tint, 0)
            _windows(mesh, p, q, ground, count - 1, storey, s.bay, layer, tint, 0)
        else:
            w = float(np.linalg.norm(q - p)) / 3.2
            _wall(mesh, p, q, base, top, plain, uv=(0, 0, w, (top - base) / 3.2), light=(0.7, 1.0))
    stone = Material(TEXTURED, "building", (0.72, 0.69, 0.63), LAYER["plaster"])
    if ground_kind.startswith("shop"):
        _shop_front(mesh, a, b, ground, rng)
    elif rng.random() < 0.4:
        ledge(mesh, a, b, ground - 0.1, ground + 0.1, 0.06, stone)
    if rng.random() < s.flat:
        parapet = rng.uniform(0.5, 1.1)
        for p, q in ((a, b), (b, back_b), (back_b, back_a), (back_a, a)):
            w = float(np.linalg.norm(q - p)) / 3.2
            _wall(mesh, p, q, top, top + parapet, plain, uv=(0, 0, w, parapet / 3.2))
        ledge(mesh, a, b, top - 0.12, top + 0.22, 0.28, stone)
        roof = Material(PLAIN, "building", (0.22, 0.22, 0.22))
        mesh.quads([[(*p, top + parapet * 0.4) for p in c]], roof)
        if rng.random() < 0.4 and style == "office":
            middle = np.mean(c, axis=0)
            hut = Mesh()
            hut.box((-2, -1.5, 0), (2, 1.5, 2.2), Material(TEXTURED, "building", (0.5, 0.5, 0.5), LAYER["concrete"]))
            mesh.add(hut.freeze(), at=(*middle, top), heading=float(rng.uniform(0, 1)))
    else:
        depth = float(np.linalg.norm(back_a - a))
        roof_colour = ROOFS[int(rng.integers(len(ROOFS)))]
        kind = LAYER["slate" if roof_colour[0] < 0.28 else "tiles"]
        roof = Material(TEXTURED, "building", roof_colour, kind, flags=BOTH_SIDES)
        rise = depth / 2 * rng.uniform(0.55, 0.95)
        _gable(mesh, c, top, rise, roof, plain)
        for k in (0.12, 0.88):
            if rng.random() < 0.65:
                at = (a * (1 - k) + b * k) * 0.5 + (back_a * (1 - k) + back_b * k) * 0.5
                _chimney(mesh, at, top + rise, rng)
