"""Everything that moves besides the camera: cars, cyclists, people, and the state of traffic lights.

All of it is a function of the seed and of time. Streams are lattices that slide along the road: member k of a stream
exists wherever the camera is, and looks the same whenever it comes into view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from segtween.street import models, world
from segtween.street.crossing import Box, Crossing, Plans
from segtween.street.drive import STEPS, Drive, _draw
from segtween.street.mesh import Array, Colour, FrozenMesh, slot
from segtween.street.path import CHUNK, Path
from segtween.street.world import KERB, LANE, Contact, Street

HALF = {"bus": (5.2, 1.2), "truck": (3.4, 1.1)}
"""Half the length and the width of what is larger than a car."""


@lru_cache(maxsize=4096)
def _model(seed: int, key: int) -> tuple[str, Colour]:
    """Name and paint of a vehicle."""
    rng = np.random.default_rng([seed, 55, key & 0xFFFFFFFF])
    names = [*models.CARS, "bus", "truck"]
    name = str(rng.choice(names, p=[0.23, 0.20, 0.12, 0.13, 0.12, 0.08, 0.06, 0.06]))
    paint = world.CAR_COLOURS[int(rng.integers(len(world.CAR_COLOURS)))]
    if name == "bus":
        paint = ((0.45, 0.03, 0.03), (0.05, 0.16, 0.36), (0.5, 0.36, 0.04), (0.06, 0.25, 0.14))[int(rng.integers(4))]
    return name, paint


@dataclass
class Instance:
    mesh: FrozenMesh
    matrix: Array
    uid: int
    colours: tuple[Colour, Colour, Colour] = ((0, 0, 0), (0, 0, 0), (0, 0, 0))


@dataclass
class Cast:
    """The moving things of one moment."""

    instances: list[Instance] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)


def matrix(at: Any, heading: float, *, pitch: float = 0.0, scale: float = 1.0, offset: Any = (0.0, 0.0, 0.0)) -> Array:
    """3x4 row of a model turned by `pitch` (about y, positive swings -z forward), then heading, then moved."""
    c, s, p, q = np.cos(heading), np.sin(heading), np.cos(pitch), np.sin(pitch)
    ox, oy, oz = offset
    return np.array([
        scale * c * p, -scale * s, -scale * c * q, at[0] + c * ox - s * oy,
        scale * s * p, scale * c, -scale * s * q, at[1] + s * ox + c * oy,
        scale * q, 0.0, scale * p, at[2] + oz,
    ])  # fmt: skip


SKINS: tuple[Colour, ...] = ((0.58, 0.38, 0.28), (0.46, 0.28, 0.19), (0.20, 0.11, 0.07), (0.62, 0.44, 0.34))
HAIRS: tuple[Colour, ...] = ((0.03, 0.02, 0.015), (0.10, 0.06, 0.03), (0.30, 0.20, 0.09), (0.30, 0.29, 0.28))


@lru_cache(maxsize=4096)
def _dress(seed: int, uid: int) -> tuple[int, float, bool, bool, Any, float]:
    """Skin, size, coat, bag, colours and step of one walker."""
    rng = np.random.default_rng([seed, 61, uid])
    skin, size = int(rng.integers(4)), float(rng.uniform(0.9, 1.07))
    coat, bag = bool(rng.random() < 0.3), bool(rng.random() < 0.25)
    top = tuple(float(v) for v in rng.uniform(0.02, 0.45, 3) * rng.choice([0.25, 0.6, 1.2]))
    legs = [(0.03, 0.04, 0.08), (0.02, 0.02, 0.022), (0.16, 0.13, 0.09), (0.06, 0.08, 0.14)][int(rng.integers(4))]
    return skin, size, coat, bag, (top, legs, HAIRS[int(rng.integers(4))]), float(rng.uniform(0, 6))


class People:
    """Body parts, built once per clip, and their poses."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._parts: dict[tuple[Any, ...], FrozenMesh] = {}

    def _part(self, kind: str, label: str, skin: int, *extra: bool) -> FrozenMesh:
        key = (kind, label, skin, *extra)
        if key not in self._parts:
            top, legs, tone, shoe = slot(0), slot(1), SKINS[skin], (0.03, 0.027, 0.025)
            if kind == "body":
                self._parts[key] = models.body(label, skin=tone, long_coat=extra[0], bag=extra[1], helmet=extra[2])
            else:
                length, radii, colour, foot, hand = {
                    "thigh": (0.44, (0.088, 0.066), legs, None, None),
                    "shank": (0.42, (0.064, 0.045), legs, shoe, None),
                    "upper": (0.29, (0.055, 0.046), top, None, None),
                    "lower": (0.26, (0.045, 0.034), top, None, tone),
                }[kind]
                self._parts[key] = models.limb(label, length=length, radii=radii, colour=colour, foot=foot, hand=hand)
        return self._parts[key]

    def walker(self, cast: Cast, *, at: Array, heading: float, walked: float, moving: float, uid: int) -> None:
        """`walked` metres set the stride; `moving` 0..1 its size."""
        skin, size, coat, bag, colours, ahead = _dress(self._seed, uid)
        phase = walked / (0.74 * size) * np.pi + ahead
        swing, bob = 0.48 * moving, 0.018 * moving * float(np.cos(2 * phase))
        hip = 0.91 * size
        base = np.array([at[0], at[1], at[2] + bob])

        def put(kind: str, index: int, pitch: float, offset: Any, *extra: bool) -> None:
            mesh = self._part(kind, "person", skin, *extra)
            cast.instances.append(
                Instance(mesh, matrix(base, heading, pitch=pitch, scale=size, offset=offset), uid * 16 + index, colours)
            )

        put("body", 0, -0.04 * moving, (0, 0, hip), coat, bag, False)
        for i, (y, sign) in enumerate(((0.095, 1.0), (-0.095, -1.0))):
            a = -sign * swing * float(np.sin(phase))
            bend = 0.12 * moving + 0.75 * moving * max(0.0, float(np.cos(phase) * -sign))
            y *= size
            put("thigh", 1 + i, a, (0, y, hip))
            knee = (0.44 * size * np.sin(a), y, hip - 0.44 * size * np.cos(a))
            put("shank", 3 + i, a - bend, knee)
            b = sign * swing * 0.75 * float(np.sin(phase))
            shoulder = (0, y * 2.35, hip + 0.455 * size)
            put("upper", 5 + i, b, shoulder)
            elbow = (0.29 * size * np.sin(b), shoulder[1], shoulder[2] - 0.29 * size * np.cos(b))
            put("lower", 7 + i, b + 0.2 + 0.25 * moving, elbow)
        cast.contacts.append((float(at[0]), float(at[1]), heading, 0.26, 0.2, 0.5))

    def rider(self, cast: Cast, *, at: Array, heading: float, ridden: float, uid: int) -> None:
        rng = np.random.default_rng([self._seed, 62, uid])
        skin = int(rng.integers(4))
        top: Any = [(0.55, 0.62, 0.03), (0.03, 0.04, 0.1), (0.4, 0.03, 0.03), (0.05, 0.05, 0.055), (0.06, 0.2, 0.32)][
            int(rng.integers(5))
        ]
        hat: Any = [(0.5, 0.5, 0.5), (0.03, 0.03, 0.03), (0.45, 0.05, 0.04), (0.1, 0.2, 0.5)][int(rng.integers(4))]
        colours: Any = (top, (0.03, 0.035, 0.05), hat)
        frame: Any = tuple(float(v) for v in rng.uniform(0.02, 0.4, 3))
        cast.instances.append(Instance(world.bicycle(), matrix(at, heading), uid * 16, (frame, frame, frame)))
        lean = -0.55
        hip = (-0.24, 0.0, 0.98)

        def put(kind: str, index: int, pitch: float, offset: Any, *extra: bool) -> None:
            mesh = self._part(kind, "rider", skin, *extra)
            cast.instances.append(
                Instance(mesh, matrix(at, heading, pitch=pitch, offset=offset), uid * 16 + index, colours)
            )

        put("body", 1, lean, hip, False, bool(rng.random() < 0.4), True)
        turn = ridden / 0.95
        for i, (y, sign) in enumerate(((0.1, 1.0), (-0.1, -1.0))):
            foot = np.array([-0.08 + 0.165 * sign * np.cos(turn), 0.36 - 0.165 * sign * np.sin(turn)])
            a, knee, b = _two_bones(np.array([hip[0], hip[2]]), foot, 0.44, 0.43)
            put("thigh", 2 + i, a, (hip[0], y, hip[2]))
            put("shank", 4 + i, b, (knee[0], y, knee[1]))
            shoulder = np.array([hip[0] + 0.46 * np.sin(-lean), hip[2] + 0.46 * np.cos(lean)])
            a, elbow, b = _two_bones(shoulder, np.array([0.33, 1.03]), 0.29, 0.29, forward=False)
            put("upper", 6 + i, a, (shoulder[0], y * 2.0, shoulder[1]))
            put("lower", 8 + i, b, (elbow[0], y * 2.2, elbow[1]))
        cast.contacts.append((float(at[0]), float(at[1]), heading, 0.8, 0.15, 0.5))


def _two_bones(
    root: Array, goal: Array, upper: float, lower: float, *, forward: bool = True
) -> tuple[float, Array, float]:
    """Pitches of two limbs in the (x, z) plane that reach from root to goal, and the joint between them."""
    d = goal - root
    reach = min(float(np.linalg.norm(d)), (upper + lower) * 0.999)
    along = float(np.arctan2(d[0], -d[1]))
    inner = float(np.arccos(np.clip((upper**2 + reach**2 - lower**2) / (2 * upper * reach), -1, 1)))
    a = along + (inner if forward else -inner)
    joint = root + upper * np.array([np.sin(a), -np.cos(a)])
    rest = goal - joint
    return a, joint, float(np.arctan2(rest[0], -rest[1]))


class Traffic:
    def __init__(self, seed: int, path: Path, street: Street, drive: Drive) -> None:
        self._seed, self._path, self._street, self._drive = seed, path, street, drive
        rng = np.random.default_rng([seed, 54])
        self._people = People(seed)
        self._side = street.side
        self._busy = float(rng.uniform(0.25, 0.6))
        self._crowd = float(rng.uniform(0.16, 0.5))
        self._bikes = float(rng.uniform(0.35, 0.75))
        self._leads = []
        gap, delay = float(rng.uniform(10, 24)), float(rng.uniform(0.8, 1.8))
        for k in range(int(rng.integers(1, 4))):
            self._leads.append((gap, delay, k))
            gap, delay = gap + float(rng.uniform(8.5, 20)), delay + float(rng.uniform(0.3, 1.2))
        if street.heavy:
            self._leads = [(2.5 * gap, 2 * delay, k) for gap, delay, k in self._leads[:1]]
        self._lights = {state: models.traffic_light(state) for state in ("red", "amber", "green")}
        self._plans: Plans | None = None
        if street.heavy:
            self._busy, self._crowd = 0.7 * self._busy, max(0.3, self._crowd)
            self._plans = Plans(seed, street, drive.time_at, self._boxes)

    def _vehicle(self, cast: Cast, key: int, s: float, t: float, *, turn: float = 0.0) -> None:
        name, paint = _model(self._seed, key)
        heading = self._path.at(s)[2] + turn
        at = self._path.point(s, t)
        cast.instances.append(Instance(world.cars()[name], matrix(at, heading), key, (paint, (0.6, 0.6, 0.58), paint)))
        cast.contacts.append((float(at[0]), float(at[1]), heading, *HALF.get(name, (2.15, 0.86)), 0.8))

    def _stream(
        self, low: float, high: float, spacing: float, shift: float, tag: int, share: float
    ) -> list[tuple[int, float]]:
        """Members of a sliding lattice between two distances: (k, s)."""
        found = []
        for k in range(int(np.floor((low - shift) / spacing)) - 1, int(np.ceil((high - shift) / spacing)) + 1):
            a, b = _draw(self._seed, 56, tag, k & 0xFFFFFFFF)
            s = k * spacing + shift + 0.45 * spacing * (b - 0.5)
            if a < share and low <= s <= high:
                found.append((k, float(s)))
        return found

    def at(self, seconds: float) -> Cast:
        cast, here = Cast(), self._drive.at(seconds)
        low, high, side = here.s - 14, here.s + 190, self._side
        for gap, delay, k in self._leads:
            ahead = self._drive.at(seconds + delay).s + gap
            self._vehicle(cast, 1000 + k, ahead, side * LANE)
        for k, s in self._stream(low, high, 24.0, -here.oncoming, 1, self._busy):
            self._vehicle(cast, 100_000 + (k & 0xFFFFF), s, -side * LANE, turn=np.pi)
        self._cyclists(cast, seconds, low, here.s + 110)
        self._walkers(cast, seconds, here.s - 6, here.s + 95)
        for piece in range(int(low // CHUNK), int((here.s + 120) // CHUNK) + 1):
            if self._street.signal(piece):
                self._crossing(cast, seconds, piece)
        if self._plans is not None:
            for crossing in self._plans.between(here.s - 14, here.s + 120):
                self._cross(cast, seconds, crossing)
            self._plans.forget(here.s - 96)
        return cast

    def _cross(self, cast: Cast, seconds: float, crossing: Crossing) -> None:
        """One of heavy traffic's people, cyclists and vehicles, where it is now."""
        place = crossing.at(seconds)
        if place is None:
            return
        s, t, turn, gone, moving = place
        heading = self._path.at(s)[2] + turn
        if crossing.kind == "vehicle":
            self._vehicle(cast, crossing.uid, s, t, turn=turn)
        elif crossing.kind == "rider":
            at = self._path.point(s, t)
            self._people.rider(cast, at=at, heading=heading, ridden=gone, uid=crossing.uid)
        else:
            z = KERB * float(np.clip((abs(t) - self._street.half + 0.15) / 0.25, 0, 1))
            at = self._path.point(s, t, z)
            self._people.walker(cast, at=at, heading=heading, walked=gone, moving=moving, uid=crossing.uid)

    def _boxes(self, seconds: float, low: float, high: float) -> list[Box]:
        """What is on road and pavements between two distances, as heavy traffic must keep clear of it: the camera's
        car with the way that it needs to stop, those ahead of it, oncoming ones, cyclists, people on pavements."""
        here, side = self._drive.at(seconds), self._side
        boxes = [Box(here.s - 3.0, here.s + 4.0 + 0.4 * here.v, side * LANE - 1.0, side * LANE + 1.0)]
        vehicles = [(self._drive.at(seconds + delay).s + gap, side, 1000 + k) for gap, delay, k in self._leads]
        oncoming = self._stream(low - 7, high + 7, 24.0, -here.oncoming, 1, self._busy)
        vehicles += [(s, -side, 100_000 + (k & 0xFFFFF)) for k, s in oncoming]
        for s, on, key in vehicles:
            half = HALF.get(_model(self._seed, key)[0], (2.4, 1.0))[0] + 0.6
            boxes.append(Box(s - half, s + half, on * LANE - 1.2, on * LANE + 1.2))
        for tag, way, share in ((2, 1, self._bikes), (3, -1, 0.6 * self._bikes)):
            for _, s in self._stream(low - 2, high + 2, 38.0, way * 4.4 * seconds, tag, share):
                boxes.append(Box(s - 1.6, s + 1.6, way * side * 3.02 - 0.5, way * side * 3.02 + 0.5))
        for tag in range(10, 16):
            side_of, way = (1 if tag % 2 else -1), (1 if (tag // 2) % 2 else -1)
            a, b = sorted((side_of * self._street.half, side_of * self._street.end))
            for _, s in self._stream(low, high, 11.0, way * (1.1 + 0.12 * (tag - 10)) * seconds, tag, self._crowd):
                boxes.append(Box(s - 0.4, s + 0.4, a, b))
        return [box for box in boxes if box.s0 < high and box.s1 > low]

    def _cyclists(self, cast: Cast, seconds: float, low: float, high: float) -> None:
        for tag, direction in ((2, 1), (3, -1)):
            shift = direction * 4.4 * seconds
            share = self._bikes if direction > 0 else 0.6 * self._bikes
            for k, s in self._stream(low, high, 38.0, shift, tag, share):
                t = direction * self._side * (3.02 + 0.1 * np.sin(0.15 * s + k))
                heading = self._path.at(s)[2] + (0.0 if direction > 0 else np.pi)
                uid = 1_000_000 * tag + (k & 0xFFFFF)
                self._people.rider(cast, at=self._path.point(s, t), heading=heading, ridden=4.4 * seconds + k, uid=uid)

    def _walkers(self, cast: Cast, seconds: float, low: float, high: float) -> None:
        for tag in range(10, 16):
            side, way = (1 if tag % 2 else -1), (1 if (tag // 2) % 2 else -1)
            speed = 1.1 + 0.12 * (tag - 10)
            for k, s in self._stream(low, high, 11.0, way * speed * seconds, tag, self._crowd):
                t = side * (
                    self._street.half
                    + 1.55
                    + (self._street.end - self._street.half - 2.4) * _draw(self._seed, 57, tag, k & 0xFFFFFFFF)[0]
                )
                piece, local = divmod(s, CHUNK)
                # Side streets are crossed at road level, up and down the kerb within half a metre.
                down = self._street.junction(int(piece), side)
                z = KERB * (1 - float(np.clip(min(local - 8.3, 15.7 - local) / 0.5 + 1, 0, 1))) if down else KERB
                heading = self._path.at(s)[2] + (0.0 if way > 0 else np.pi)
                uid = 1_000_000 * tag + (k & 0xFFFFF)
                self._people.walker(
                    cast, at=self._path.point(s, t, z), heading=heading, walked=speed * seconds, moving=1.0, uid=uid
                )

    def _crossing(self, cast: Cast, seconds: float, piece: int) -> None:
        side, s0, kerb = self._side, piece * CHUNK, self._street.half + 0.45
        goes = self._drive.goes_at.get(piece)
        state = "green"
        if self._drive.stops(piece):
            left = (goes / STEPS - seconds) if goes is not None else 9.0
            state = "red" if left > 1.0 else "amber" if left > 0 else "green"
        for n, (s, t, turn) in enumerate(
            ((9.3, side * kerb, 0.0), (9.3, -side * kerb, 0.0), (13.7, -side * kerb, np.pi))
        ):
            at = self._path.point(s0 + s, t, KERB)
            heading = self._path.at(s0 + s)[2] + turn
            uid = 40_000_000 + piece * 8 + n
            cast.instances.append(Instance(self._lights[state], matrix(at, heading), uid))
        rng = np.random.default_rng([self._seed, 58, piece])
        since = self._drive.crossing_time(piece, seconds) if self._drive.stops(piece) else None
        wide = 2 * self._street.half + 2.2
        most = (4, 9) if self._street.heavy else (1, 5)
        for n in range(int(rng.integers(*most)) if self._drive.stops(piece) else 0):
            start, s, speed = (
                float(rng.uniform(0, 2.0)),
                s0 + float(rng.uniform(10.4, 12.6)),
                float(rng.uniform(1.3, 1.8)),
            )
            way = 1.0 if rng.random() < 0.5 else -1.0
            gone = 0.0 if since is None else max(0.0, since - start) * speed
            t = -way * (wide / 2) + way * min(gone, wide)
            moving = float(np.clip(min(gone * 2, (wide - gone) * 2), 0, 1))
            z = KERB * float(np.clip((abs(t) - self._street.half + 0.15) / 0.25, 0, 1))
            heading = self._path.at(s)[2] + way * np.pi / 2
            at = self._path.point(s, t, z)
            self._people.walker(cast, at=at, heading=heading, walked=min(gone, wide), moving=moving,
                                uid=50_000_000 + piece * 8 + n)  # fmt: skip
