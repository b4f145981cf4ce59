"""The standing street: ground, houses, gardens, parks, trees, furniture, parked cars, one piece at a time.

Every piece depends on the seed, its own number and the road's course only, so that pieces may be made in any
order and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.street import buildings, models
from segtween.street.mesh import (
    BOTH_SIDES,
    CUTOUT,
    NO_SHADOW,
    PLAIN,
    ROAD,
    TEXTURED,
    Array,
    Colour,
    FrozenMesh,
    Material,
    Mesh,
)
from segtween.street.path import CHUNK, Path
from segtween.street.textures import LAYER

KERB = 0.12
UP = np.array([0.0, 0.0, KERB])
LANE = 1.65
PARKED = 4.5

CAR_COLOURS: tuple[Colour, ...] = (
    (0.55, 0.56, 0.57), (0.30, 0.31, 0.33), (0.03, 0.03, 0.035), (0.70, 0.70, 0.69), (0.10, 0.11, 0.13),
    (0.03, 0.06, 0.20), (0.34, 0.02, 0.02), (0.04, 0.12, 0.28), (0.02, 0.08, 0.05), (0.42, 0.40, 0.33),
    (0.16, 0.02, 0.03), (0.45, 0.16, 0.02), (0.20, 0.30, 0.42),
)  # fmt: skip

ZONES = {"shops": 0.28, "terrace": 0.16, "offices": 0.12, "gardens": 0.2, "park": 0.14, "wall": 0.10}
"""What stands along the road, each with its share."""
HEDGE = Material(TEXTURED, "vegetation", layer=LAYER["hedge"])
PLANKS = Material(TEXTURED, "fence", (0.8, 0.72, 0.6), LAYER["planks"])

Contact = tuple[float, float, float, float, float, float]
"""x, y, heading, half length, half width, darkness of a contact shadow on the ground."""


@lru_cache(maxsize=1)
def cars() -> dict[str, FrozenMesh]:
    """Every vehicle model, built once."""
    return {**{k: models.car(v) for k, v in models.CARS.items()}, "bus": models.bus(), "truck": models.truck()}


@lru_cache(maxsize=256)
def _signal_place(seed: int, group: int) -> int:
    return int(np.random.default_rng([seed, 31, group]).integers(1, 5))


@lru_cache(maxsize=1024)
def _side_street(seed: int, index: int, side: int) -> bool:
    return bool(np.random.default_rng([seed, 33, index, side + 1]).random() < 0.16)


@dataclass(frozen=True)
class Piece:
    index: int
    mesh: FrozenMesh
    contacts: NDArray[np.float64]
    centre: Array


class Street:
    """What is common to a whole drive, and the maker of its pieces. `heavy`: room for heavy traffic (`crossing`)."""

    def __init__(self, seed: int, path: Path, *, foliage: str, side: int, heavy: bool = False) -> None:
        self.seed, self.path, self.side, self.heavy = seed, path, side, heavy
        rng = np.random.default_rng([seed, 21])
        green, bare = ("round", "round", "round", "tall", "cone"), ("bare", "bare", "bare", "cone", "round")
        kinds = green if foliage == "green" else bare
        self.trees = [models.tree(rng, kind=str(rng.choice(kinds))) for _ in range(7)]
        self.street_trees = [models.tree(rng, kind="bare" if foliage == "bare" else "round") for _ in range(3)]
        self.bushes = [models.tree(rng, kind="bush") for _ in range(3)]
        self.lamp = models.lamp_post(height=float(rng.uniform(6.5, 9.0)), reach=float(rng.uniform(1.0, 2.2)))
        self.signs = [models.sign(i, height=float(rng.uniform(2.1, 2.7))) for i in range(8)]
        self.small = [models.bin_box(), models.bollard(), models.post(height=1.0, radius=0.045)]
        self.tall_post = models.post(height=float(rng.uniform(6.0, 9.0)), radius=0.09, colour=(0.12, 0.09, 0.07))
        self.paving: Colour = ((0.46, 0.45, 0.43), (0.5, 0.46, 0.42), (0.40, 0.40, 0.41))[int(rng.integers(3))]
        self.tarmac: Colour = ((0.95, 0.95, 0.98), (0.8, 0.8, 0.82), (1.1, 1.07, 1.02))[int(rng.integers(3))]
        self.grass: Colour = (1.0, 1.0, 1.0) if foliage == "green" else (1.1, 1.0, 0.9)
        self.style = str(rng.choice(["brick", "plaster", "stone", "mixed"]))
        # Half the road's width (with or without room for parked cars), and where the pavement ends.
        self.parking = bool(rng.random() < 0.7)
        self.half = 5.45 if self.parking else float(rng.uniform(3.75, 4.3))
        self.end = self.half + float(rng.uniform(2.9, 4.6))
        self.verge = bool(rng.random() < 0.5)

    def signal(self, index: int) -> bool:
        """Whether a crossing with traffic lights lies on the piece (every sixth or so)."""
        if index < 2:
            return False
        group, at = divmod(index, 6)
        return at == _signal_place(self.seed, group)

    def zone(self, index: int, side: int) -> str:
        rng = np.random.default_rng([self.seed, 32, (index + (2 if side > 0 else 0)) // 4, side + 1])
        return str(rng.choice(list(ZONES), p=list(ZONES.values())))

    def zone_rng(self, index: int, side: int) -> np.random.Generator:
        """The same choices for neighbours of one zone."""
        return np.random.default_rng([self.seed, 36, (index + (2 if side > 0 else 0)) // 4, side + 1])

    def junction(self, index: int, side: int) -> bool:
        """Whether a side street opens on that side."""
        if self.heavy:
            return self._is_crossroads(index)
        return _side_street(self.seed, index, side) and self._has_room(index)

    def _has_room(self, index: int) -> bool:
        """For side streets: they leave straight pieces without signals."""
        if index < 2 or self.signal(index):
            return False
        bend = max(abs(self.path.at(index * CHUNK + d)[3]) for d in (0.0, 12.0, 24.0))
        return bend < 1 / 90

    def _is_crossroads(self, index: int) -> bool:
        """Heavy traffic: every other piece has a side street on either side; where there is no room for it, the
        next."""
        return self._has_room(index) and (index % 2 == self.seed % 2 or not self._has_room(index - 1))

    def piece(self, index: int) -> Piece:
        return _Builder(self, index).build()


class _Builder:
    def __init__(self, street: Street, index: int) -> None:
        self.street, self.index, self.path = street, index, street.path
        self.half, self.end = street.half, street.end
        self.s0 = float(index * CHUNK)
        self.mesh = Mesh()
        self.contacts: list[Contact] = []
        self.signal = street.signal(index)

    def rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.street.seed, 41, self.index, *key])

    def build(self) -> Piece:
        self.road()
        for side in (1, -1):
            gap = (6.0, 18.0) if self.street.junction(self.index, side) else None
            self.pavement(side, gap)
            zone = self.street.zone(self.index, side)
            if gap:
                self.side_street(side, gap)
            elif zone in ("gardens", "park", "wall"):
                getattr(self, zone)(side)
            else:
                self.row(side, zone, 0.0, float(CHUNK), self.end, 12.0)
            self.furniture(side, zone, gap)
            self.parked(side, gap)
        middle = self.path.point(self.s0 + CHUNK / 2, 0)
        contacts = np.array(self.contacts, np.float64).reshape(-1, 6)
        return Piece(self.index, self.mesh.freeze(), contacts, middle)

    def put(
        self, model: FrozenMesh, s: float, t: float, *, z: float = 0.0, turn: float = 0.0, scale: float = 1.0,
        colours: Any = None, contact: tuple[float, float, float] | None = None,
    ) -> None:  # fmt: skip
        heading = self.path.at(s)[2] + turn
        at = self.path.point(s, t, z)
        self.mesh.add(model, at=at, heading=heading, scale=scale, colours=colours)
        if contact is not None:
            self.contacts.append((float(at[0]), float(at[1]), heading, *contact))

    def strip(
        self, s: Any, t0: float, z0: float, t1: float, z1: float, material: Material, *, scale: float = 1.0,
        light: tuple[float, float] = (1.0, 1.0),
    ) -> None:  # fmt: skip
        """Quads along the road between two lateral lines, t0 on the right of t1."""
        s = np.asarray(s, np.float64)
        low, high = self.path.points(s, t0, z0), self.path.points(s, t1, z1)
        wide = float(np.hypot(t1 - t0, z1 - z0))
        quads = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
        v0, v1 = (t0 * scale, t1 * scale) if z0 == z1 else (0.0, wide * scale)
        shade = np.tile([light[0], light[0], light[1], light[1]], (len(s) - 1, 1))
        self.mesh.quads(quads, material, uv=_along(s * scale, v0, v1), light=shade)

    def marks(self, low: float, high: float) -> list[float]:
        """Places along the road where strips are cut: denser in bends."""
        bend = max(abs(self.path.at(self.s0 + d)[3]) for d in (low, (low + high) / 2, high))
        n = max(1, int(np.ceil((high - low) / (3.0 if bend > 1 / 200 else 8.0))))
        return [self.s0 + float(v) for v in np.linspace(low, high, n + 1)]

    def road(self) -> None:
        near = self.street.signal(self.index + 1)
        parts = [(0.0, float(CHUNK), 1 if near else 0)]
        if self.signal:
            parts = [(0.0, 9.0, 1), (9.0, 10.0, 4), (10.0, 13.0, 2), (13.0, 14.0, 4), (14.0, 24.0, 1)]
        elif any(self.street.junction(self.index, s) for s in (1, -1)):
            parts = [(0.0, 5.0, 0), (5.0, 19.0, 6), (19.0, 24.0, 0)]
        elif self.parking_style(1) == 2 and self.parking_style(-1) == 2 and not near:
            parts = [(0.0, float(CHUNK), 5)]
        for low, high, layout in parts:
            material = Material(ROAD, "road", self.street.tarmac, LAYER["asphalt"], layout, NO_SHADOW)
            self.strip(self.marks(low, high), -self.half, 0, self.half, 0, material)
        if self.signal:
            paint = Material(PLAIN, "road", (0.55, 0.55, 0.54))
            for low, t0, t1 in ((9.0, 0.1, self.half - 0.4), (13.7, 0.4 - self.half, -0.1)):
                a, b = (t0, t1) if self.street.side > 0 else (-t1, -t0)
                self.strip([self.s0 + low, self.s0 + low + 0.3], a, 0.006, b, 0.006, paint)

    def pavement(self, side: int, gap: tuple[float, float] | None) -> None:
        kerb = Material(TEXTURED, "sidewalk", (0.62, 0.61, 0.59), LAYER["concrete"], flags=NO_SHADOW)
        slabs = Material(TEXTURED, "sidewalk", self.street.paving, LAYER["paving"], flags=NO_SHADOW)
        for low, high in [(0.0, float(CHUNK))] if gap is None else [(0.0, gap[0]), (gap[1], float(CHUNK))]:
            marks = self.marks(low, high)
            a, b, c = side * self.half, side * (self.half + 0.16), side * (self.end + 0.9)
            parts = [(a, 0.0, a, KERB, kerb, 0.33), (a, KERB, b, KERB, kerb, 0.33)]
            is_green = self.street.zone(self.index, side) in ("gardens", "park", "wall")
            if self.street.verge and is_green and not self.signal:
                grass = Material(TEXTURED, "terrain", self.street.grass, LAYER["grass"], flags=NO_SHADOW)
                parts.append((b, KERB, b + side * 1.3, KERB, grass, 0.2))
                b += side * 1.3
            parts.append((b, KERB, c, KERB, slabs, 0.42))
            for t0, z0, t1, z1, m, scale in parts:
                if side < 0:
                    t0, t1, z0, z1 = t1, t0, z1, z0
                shade = (0.75, 1.0) if z0 != z1 else (1.0, 1.0)
                self.strip(marks, t0, z0, t1, z1, m, scale=scale, light=shade if side > 0 else shade[::-1])
        if gap is not None:
            for s in gap:
                self.kerb((s, side * self.half), (s, side * 60), 18)

    def kerb(self, begin: tuple[float, float], end: tuple[float, float], length: float) -> None:
        """A kerb's face between two places of the piece, each along and across the road."""
        stone = Material(TEXTURED, "sidewalk", (0.6, 0.59, 0.57), LAYER["concrete"], flags=BOTH_SIDES)
        p, q = (self.path.point(self.s0 + s, t, 0) for s, t in (begin, end))
        self.mesh.quads([[p, q, q + UP, p + UP]], stone, uv=[[(0, 0), (length, 0), (length, 0.05), (0, 0.05)]])

    def corners(self, side: int, low: float, high: float, front: float, back: float) -> Array:
        """Ground corners in the order of `buildings.building`."""
        a, b = (low, high) if side > 0 else (high, low)
        s = self.s0 + np.array([a, b, b, a])
        return self.path.points(s, side * np.array([front, front, back, back]), 0.0)[:, :2]

    def row(self, side: int, zone: str, low: float, high: float, front: float, depth: float) -> None:
        rng = self.rng(2, side + 1, int(low))
        bend = self.path.at(self.s0 + (low + high) / 2)[3] * side
        if bend > 1 / 60:
            depth = min(depth, 9.0)
        cuts = [low]
        while high - cuts[-1] > 1:
            left = high - cuts[-1]
            w = rng.uniform(5.0, 9.0) if zone == "terrace" else rng.uniform(7.0, 13.0)
            cuts.append(high if left - w < 5 else cuts[-1] + w)
        terrace = self.street.zone_rng(self.index, side) if zone == "terrace" else None
        for a, b in pairwise(cuts):
            style = {"terrace": "terrace", "offices": "office"}.get(zone, self.street.style)
            if style == "mixed" or (zone == "shops" and rng.random() < 0.35):
                style = str(rng.choice(["brick", "plaster", "stone"]))
            own = terrace.spawn(1)[0] if terrace is not None and rng.random() < 0.7 else rng
            c = self.corners(side, a, b, front, front + depth * rng.uniform(0.85, 1.15))
            buildings.building(self.mesh, c, own, style=style)

    def green(self, side: int, low: float, high: float, t0: float, t1: float, z: float = KERB + 0.01) -> None:
        grass = Material(TEXTURED, "terrain", self.street.grass, LAYER["grass"], flags=NO_SHADOW)
        a, b = (t0, t1) if side > 0 else (-t1, -t0)
        self.strip(self.marks(low, high), a, z, b, z, grass, scale=0.2)

    def screen(
        self,
        side: int,
        low: float,
        high: float,
        t: float,
        height: float,
        thick: float,
        material: Material,
        scale: float,
    ) -> None:
        """A wall or hedge along the road."""
        marks = self.marks(low, high)
        a, b = (t, t + thick) if side > 0 else (-t - thick, -t)
        top = KERB + height
        front = (a, KERB, a, top) if side > 0 else (b, top, b, KERB)
        back = (b, top, b, KERB) if side > 0 else (a, KERB, a, top)
        for t0, z0, t1, z1 in (front, back):
            shade = (0.65, 1.0) if z0 < z1 else (1.0, 0.65)
            both = Material(material.kind, material.label, material.colour, material.layer, 0, BOTH_SIDES)
            self.strip(marks, t0, z0, t1, z1, both, scale=scale, light=shade)
        self.strip(marks, a, top, b, top, material, scale=scale)

    def fence(self, side: int, low: float, high: float, t: float, height: float, label: str = "fence") -> None:
        """Railings: cut-out bars between posts."""
        marks = np.asarray(self.marks(low, high))
        bars = Material(TEXTURED, label, (0.12, 0.14, 0.14), LAYER["railing"], flags=BOTH_SIDES | CUTOUT)
        p, q = self.path.points(marks, side * t, KERB), self.path.points(marks, side * t, KERB + height)
        quads = np.stack([p[:-1], p[1:], q[1:], q[:-1]], axis=1)
        self.mesh.quads(quads, bars, uv=_along(marks / 2, 0.004, 0.996))
        steel = Material(PLAIN, label, (0.03, 0.035, 0.035))
        for s in np.arange(self.s0 + low, self.s0 + high + 0.01, 3.0):
            at = self.path.point(float(s), side * t, KERB)
            self.mesh.tube(at, at + np.array([0, 0, height + 0.08]), 0.035, 0.035, steel, sides=5)

    def plant(
        self, side: int, s: float, t: float, rng: np.random.Generator, *, scale: float = 1.0, which: str = "trees"
    ) -> None:
        model = getattr(self.street, which)[int(rng.integers(len(getattr(self.street, which))))]
        spread = (0.8, 0.8, 0.45) if which == "bushes" else (0.35, 0.35, 0.5)
        self.put(model, self.s0 + s, side * t, z=KERB, turn=float(rng.uniform(0, 6.28)), scale=scale, contact=spread)

    def park(self, side: int) -> None:
        rng = self.rng(3, side + 1)
        zone = self.street.zone_rng(self.index, side)
        self.green(side, 0, CHUNK, self.end, 42.0)
        if zone.random() < 0.75:
            self.fence(side, 0, CHUNK, self.end + 0.15, 1.15)
        else:
            self.screen(side, 0, CHUNK, self.end + 0.1, 0.9, 0.8, HEDGE, 0.5)
        inner = self.path.at(self.s0 + 12)[3] * side > 1 / 60
        far = 8 if inner else 20
        for _ in range(5):
            s, t = rng.uniform(1, 23), self.end + rng.uniform(2.5, far)
            self.plant(side, s, t, rng, scale=float(rng.uniform(0.9, 1.4)))
        for _ in range(3):
            self.plant(side, rng.uniform(1, 23), self.end + rng.uniform(1.5, 7), rng, which="bushes")
        if not inner:
            for s in (4.0, 12.0, 20.0):
                self.plant(side, s + rng.uniform(-2, 2), rng.uniform(34, 41), rng, scale=float(rng.uniform(1.2, 1.6)))

    def gardens(self, side: int) -> None:
        rng = self.rng(4, side + 1)
        kind = self.street.zone_rng(self.index, side).random()
        self.green(side, 0, CHUNK, self.end, 30.0)
        low = rng.uniform(8, 16)
        for a, b in ((0.0, low - 0.6), (low + 0.6, float(CHUNK))):
            if kind < 0.35:
                bricks = Material(TEXTURED, "wall", buildings.BRICKS[int(rng.integers(4))], LAYER["gardenwall"])
                self.screen(side, a, b, self.end + 0.1, 0.95, 0.25, bricks, 0.6)
            elif kind < 0.62:
                self.screen(side, a, b, self.end + 0.1, 1.25, 0.7, HEDGE, 0.5)
            elif kind < 0.82:
                self.screen(side, a, b, self.end + 0.1, 1.4, 0.05, PLANKS, 0.62)
            else:
                self.fence(side, a, b, self.end + 0.15, 1.0)
        front = self.end + 3.8
        style = "cottage" if self.street.zone_rng(self.index, side).random() < 0.5 else "terrace"
        for a, b in ((0.6, 11.0), (13.2, 23.6)):
            w = rng.uniform(0, 1.2)
            c = self.corners(side, a + w, b - w, front, front + 8.5)
            buildings.building(self.mesh, c, rng, style=style, storeys=2, detached=True)
        for s in (2.0, 12.1, 22.0):
            if rng.random() < 0.6:
                t = self.end + rng.uniform(1.4, 2.8)
                self.plant(side, s, t, rng, which="bushes", scale=float(rng.uniform(0.7, 1.2)))
            if rng.random() < 0.35:
                self.plant(side, s, self.end + 2.0, rng, scale=float(rng.uniform(0.5, 0.75)))
        for s in (0.0, 12.1):
            self.plant(side, s + 1, rng.uniform(24, 28), rng, scale=float(rng.uniform(1.1, 1.5)))

    def wall(self, side: int) -> None:
        """A long high wall with trees or a works hall behind it."""
        rng = self.rng(5, side + 1)
        zone = self.street.zone_rng(self.index, side)
        colour = (buildings.BRICKS + buildings.STONES)[int(zone.integers(10))]
        stones = Material(TEXTURED, "wall", colour, LAYER["gardenwall"])
        self.green(side, 0, CHUNK, self.end, 34.0)
        self.screen(side, 0, CHUNK, self.end + 0.05, zone.uniform(1.9, 2.6), 0.35, stones, 0.4)
        for _ in range(4):
            self.plant(side, rng.uniform(1, 23), self.end + rng.uniform(3, 7), rng, scale=float(rng.uniform(1.0, 1.4)))
        if zone.random() < 0.6:
            buildings.building(self.mesh, self.corners(side, 1, 23, 20, 32), rng, style="office")
        else:
            for s in (3.0, 11.0, 20.0):
                self.plant(side, s, rng.uniform(20, 30), rng, scale=1.5)

    def side_street(self, side: int, gap: tuple[float, float]) -> None:
        far = 62.0
        tarmac = Material(ROAD, "road", self.street.tarmac, LAYER["asphalt"], 4, NO_SHADOW)
        slabs = Material(TEXTURED, "sidewalk", self.street.paving, LAYER["paving"], flags=NO_SHADOW)
        low, high = gap
        for a, b, z, m, scale in (
            (low + 2.3, high - 2.3, 0.0, tarmac, 1.0),
            (low, low + 2.3, KERB, slabs, 0.42),
            (high - 2.3, high, KERB, slabs, 0.42),
        ):
            start = self.half
            t0, t1 = (start, far) if side > 0 else (-far, -start)
            self.strip([self.s0 + a, self.s0 + b], t0, z, t1, z, m, scale=scale)
        # The mouth: the tarmac widens over the first metres, so that no pavement stands in the way.
        for s in (low + 2.3, high - 2.3):
            self.kerb((s, side * self.half), (s, side * far), 18)
        for s0, s1 in ((low, low + 2.3), (high - 2.3, high)):
            self.kerb((s0, side * self.half), (s1, side * self.half), 1)
        rng = self.rng(6, side + 1)
        zone = {"shops": "shops", "offices": "offices"}.get(self.street.zone(self.index, side), "terrace")
        self.row(side, zone, 0.0, low, self.end, 11.0)
        self.row(side, zone, high, float(CHUNK), self.end, 11.0)
        style = {"offices": "office", "shops": "brick"}.get(zone, "terrace")
        t, w = 21.5, 0.0
        while t < far - 6:
            w = rng.uniform(7, 11)
            for inner, outer in ((low, low - 8.0), (high, high + 8.0)):
                along = self.s0 + np.array([inner, inner, outer, outer])
                c = self.path.points(along, side * np.array([t, t + w, t + w, t]), 0.0)[:, :2]
                flip = (inner > outer) == (side > 0)
                c = c if flip else c[[1, 0, 3, 2]]
                buildings.building(self.mesh, c, rng, style=style)
            t += w
        along = self.s0 + np.array([low - 4, high + 4, high + 4, low - 4])
        c = self.path.points(along, side * np.array([far, far, far + 9, far + 9]), 0.0)[:, :2]
        buildings.building(self.mesh, c if side > 0 else c[[1, 0, 3, 2]], rng, style="plaster")
        for t in () if self.street.heavy else (16.0, 27.0, 40.0):
            if rng.random() < 0.7:
                name = str(rng.choice(list(models.CARS)))
                colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
                lane = low + 3.4 if rng.random() < 0.5 else high - 3.4
                self.put(
                    cars()[name], self.s0 + lane, side * t, turn=np.pi / 2, colours=[colour], contact=(2.1, 0.85, 0.75)
                )

    def furniture(self, side: int, zone: str, gap: tuple[float, float] | None) -> None:
        rng = self.rng(7, side + 1)

        def clear(s: float) -> bool:
            return gap is None or not gap[0] - 1 < s < gap[1] + 1

        def stand(model: FrozenMesh, s: float, t: float, contact: tuple[float, float, float], **how: Any) -> None:
            self.put(model, self.s0 + s, side * t, z=KERB, contact=contact, **how)

        street = self.street
        if (self.index + (side > 0)) % 2 == 0 and clear(3.0):
            stand(street.lamp, 3.0, self.half + 0.55, (0.2, 0.2, 0.4), turn=0.0 if side < 0 else np.pi)
        avenue = np.random.default_rng([self.street.seed, 34, self.index // 5, side + 1]).random() < 0.45
        for s in (7.5, 19.5):
            if avenue and clear(s) and not self.signal and zone != "offices":
                self.plant(side, s, self.half + 1.1, rng, which="street_trees", scale=float(rng.uniform(0.75, 1.0)))
        for s, share in ((14.5, 0.8), (21.0, 0.45), (1.0, 0.2)):
            if rng.random() < share and clear(s):
                turn = 0.0 if side == street.side else np.pi
                stand(street.signs[int(rng.integers(8))], s, self.half + 0.6, (0.15, 0.15, 0.3), turn=turn)
        if rng.random() < 0.25 and clear(22.5):
            stand(street.tall_post, 22.5, self.end - 0.5, (0.2, 0.2, 0.4))
        if rng.random() < 0.4 and clear(5.0):
            stand(street.small[0], 5.0, self.half + 0.8, (0.4, 0.4, 0.6))
        if rng.random() < 0.22 and not self.signal:
            for s in np.arange(16, 22.5, 1.5):
                if clear(float(s)):
                    rng.random()  # what follows is drawn after it
                    stand(street.small[1], float(s), self.half + 0.5, (0.13, 0.13, 0.4))
        if self.signal:
            self.fence(side, 15.0, 23.0, self.half + 0.4, 1.05)
            self.fence(side, 0.0, 8.0, self.half + 0.4, 1.05)
            for s in (9.8, 13.2):
                stand(street.small[1], s, self.half + 0.45, (0.13, 0.13, 0.4))
        elif rng.random() < 0.12 and gap is None and not self.street.heavy:
            self.fence(side, 9.0, 21.0, self.half + 0.45, 1.05)
        if rng.random() < 0.3 and clear(11.0):
            for k in range(int(rng.integers(1, 4))):
                colours, turn = [buildings.Colours.any(rng)], np.pi / 2 + float(rng.uniform(-0.1, 0.1))
                stand(bicycle(), 10.0 + 0.7 * k, self.end - 0.6, (0.7, 0.2, 0.4), turn=turn, colours=colours)

    def parking_style(self, side: int) -> int:
        """0 none, 1 a few cars, 2 full."""
        if self.signal or not self.street.parking:
            return 0
        rng = np.random.default_rng([self.street.seed, 35, self.index // 3, side + 1])
        return int(rng.choice([0, 1, 2], p=[0.25, 0.35, 0.40]))

    def parked(self, side: int, gap: tuple[float, float] | None) -> None:
        rng = self.rng(8, side + 1)
        fill = (0.0, 0.45, 0.85)[self.parking_style(side)]
        for s in (3.0, 9.0, 15.0, 21.0):
            if rng.random() > fill or self.signal or (gap is not None and gap[0] - 4 < s < gap[1] + 4):
                continue
            name = str(rng.choice([*models.CARS, "truck"], p=[0.24, 0.18, 0.14, 0.14, 0.14, 0.12, 0.04]))
            colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
            turn = 0.0 if side == self.street.side else np.pi
            half = (3.4, 1.1) if name == "truck" else (2.15, 0.86)
            if name == "truck" and (self.street.heavy or (gap is None and s != 9.0)):
                name, half = "van", (2.4, 0.92)
            along, t = self.s0 + s + float(rng.uniform(-0.35, 0.35)), side * (PARKED + float(rng.uniform(-0.08, 0.06)))
            turn += float(rng.normal(0, 0.015))
            self.put(cars()[name], along, t, turn=turn, colours=[colour, (0.6, 0.6, 0.58)], contact=(*half, 0.8))


def _along(u: Array, low: float, high: float) -> Array:
    """(n, 4, 2): texture coordinates of n quads in a row, between the n + 1 places `u`, from `low` to `high`."""
    uv = np.empty((len(u) - 1, 4, 2))
    uv[..., 0] = np.stack([u[:-1], u[1:], u[1:], u[:-1]], axis=1)
    uv[..., 1] = low, low, high, high
    return uv


@lru_cache(maxsize=1)
def bicycle() -> FrozenMesh:
    return models.bicycle()
