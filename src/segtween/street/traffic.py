"""Everything that moves: the camera's own drive, cars, cyclists, people, and the state of traffic lights.

All of it is a function of the seed and of time. The drive is integrated in fixed steps of 1/60 s, whatever the
frame rate, and kept only for as long as someone may ask for it. Streams of others are lattices that slide along
the road: member k of a stream exists wherever the camera is, and looks the same whenever it comes into view.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from segtween.street import models, world
from segtween.street.mesh import Array, Colour, FrozenMesh, slot
from segtween.street.path import CHUNK, Path
from segtween.street.world import KERB, LANE, Contact, Street

STEPS = 60
STOP_AT = 6.6
"""Where on a piece with a crossing the camera stops, metres from the piece's start."""


@dataclass
class Moment:
    """Where the drive is: distance, speed, distance that oncoming traffic has driven, camera's nod."""

    s: float
    v: float
    oncoming: float
    nod: float


@lru_cache(maxsize=16384)
def _draw(*key: int) -> tuple[float, float]:
    """Two numbers in 0..1 that belong to a key: making a generator for each would cost more than a car."""
    a, b = np.random.default_rng(list(key)).random(2)
    return float(a), float(b)


class Drive:
    """The camera's own motion by time."""

    def __init__(self, seed: int, path: Path, street: Street) -> None:
        self._seed, self._path, self._street = seed, path, street
        rng = np.random.default_rng([seed, 51])
        self._cruise = float(rng.uniform(8.0, 12.5))
        self._moments: list[Moment] = [Moment(40.0, float(rng.uniform(4, 8)), 0.0, 0.0)]
        self._first = 0
        self._stopped_at: dict[int, int] = {}
        self.goes_at: dict[int, int] = {}
        self._on_speed, self._nod_speed = 8.5, 0.0

    def stops(self, piece: int) -> bool:
        return self._street.signal(piece) and _draw(self._seed, 52, piece)[0] < 0.6

    def _step(self) -> None:
        now, step = self._moments[-1], self._first + len(self._moments) - 1
        piece = int(now.s // CHUNK)
        limit = self._cruise * (0.8 + 0.2 * float(np.sin(0.013 * now.s + self._seed % 7)))
        for ahead in (0.0, 8.0, 16.0, 26.0):
            bend = abs(self._path.at(now.s + ahead)[3])
            limit = min(limit, float(np.sqrt(2.0 / max(bend, 1e-4))) + 0.12 * ahead)
        waiting, brake = False, 0.0
        for p in (piece, piece + 1, piece + 2):
            left = p * CHUNK + STOP_AT - now.s
            if left < -1.0 or not self.stops(p) or self.goes_at.get(p, 1 << 60) <= step:
                continue
            waiting = waiting or left < 25
            if p in self._stopped_at:
                limit = -0.3
            elif now.v < 0.35 and left < 0.5:
                self._stopped_at[p] = step
                self.goes_at[p] = step + int(STEPS * np.random.default_rng([self._seed, 53, p]).uniform(4.0, 7.0))
            else:
                # The even braking that ends at the line, once it is worth starting.
                need = now.v * now.v / (2 * max(left, 0.05))
                brake = max(brake, need if need > 1.5 else 0.0)
                limit = min(limit, max(left, 0.0) + 0.2)
        push = float(np.clip((limit - now.v) * 1.6, -3.2, 1.7))
        if brake > 0.0:
            push = min(push, -min(brake, 5.0))
        v = max(0.0, now.v + push / STEPS)
        goal = 0.0 if waiting and now.v < 5.0 else 8.5
        self._on_speed += float(np.clip(goal - self._on_speed, -3.0 / STEPS, 2.0 / STEPS))
        pull = -0.0035 * (v - now.v) * STEPS - now.nod
        self._nod_speed += (40.0 * pull - 7.0 * self._nod_speed) / STEPS
        nod = now.nod + self._nod_speed / STEPS
        self._moments.append(Moment(now.s + 0.5 * (now.v + v) / STEPS, v, now.oncoming + self._on_speed / STEPS, nod))

    def at(self, seconds: float) -> Moment:
        """Interpolated moment; `seconds` must not lie more than two seconds before the latest `forget`."""
        x = max(seconds * STEPS, float(self._first))
        i = int(x)
        while i + 1 - self._first >= len(self._moments):
            self._step()
        a, b, k = self._moments[i - self._first], self._moments[i + 1 - self._first], x - i
        return Moment(a.s + k * (b.s - a.s), a.v + k * (b.v - a.v), a.oncoming + k * (b.oncoming - a.oncoming),
                      a.nod + k * (b.nod - a.nod))  # fmt: skip

    def forget(self, seconds: float) -> None:
        keep = int(seconds * STEPS) - 2 * STEPS - self._first
        if keep > 20 * STEPS:
            del self._moments[:keep]
            self._first += keep
            oldest = int(self._moments[0].s // CHUNK) - 4
            for table in (self._stopped_at, self.goes_at):
                for key in [k for k in table if k < oldest]:
                    del table[key]

    def crossing_time(self, piece: int, seconds: float) -> float | None:
        """Seconds since people started to cross at a light where the camera stops; None before."""
        if piece not in self._stopped_at:
            return None
        return seconds - self._stopped_at[piece] / STEPS + 1.5


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
        self._lights = {state: models.traffic_light(state) for state in ("red", "amber", "green")}

    def _vehicle(self, cast: Cast, key: int, s: float, t: float, *, back: bool) -> None:
        rng = np.random.default_rng([self._seed, 55, key & 0xFFFFFFFF])
        names = [*models.CARS, "bus", "truck"]
        name = str(rng.choice(names, p=[0.23, 0.20, 0.12, 0.13, 0.12, 0.08, 0.06, 0.06]))
        paint = world.CAR_COLOURS[int(rng.integers(len(world.CAR_COLOURS)))]
        if name == "bus":
            paint = ((0.45, 0.03, 0.03), (0.05, 0.16, 0.36), (0.5, 0.36, 0.04), (0.06, 0.25, 0.14))[
                int(rng.integers(4))
            ]
        heading = self._path.at(s)[2] + (np.pi if back else 0.0)
        at = self._path.point(s, t)
        cast.instances.append(Instance(world.cars()[name], matrix(at, heading), key, (paint, (0.6, 0.6, 0.58), paint)))
        half = {"bus": (5.2, 1.2), "truck": (3.4, 1.1)}.get(name, (2.15, 0.86))
        cast.contacts.append((float(at[0]), float(at[1]), heading, *half, 0.8))

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
            self._vehicle(cast, 1000 + k, ahead, side * LANE, back=False)
        for k, s in self._stream(low, high, 24.0, -here.oncoming, 1, self._busy):
            self._vehicle(cast, 100_000 + (k & 0xFFFFF), s, -side * LANE, back=True)
        self._cyclists(cast, seconds, low, here.s + 110)
        self._walkers(cast, seconds, here.s - 6, here.s + 95)
        for piece in range(int(low // CHUNK), int((here.s + 120) // CHUNK) + 1):
            if self._street.signal(piece):
                self._crossing(cast, seconds, piece)
        return cast

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
            left = (goes / 60 - seconds) if goes is not None else 9.0
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
        for n in range(int(rng.integers(1, 5)) if self._drive.stops(piece) else 0):
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
