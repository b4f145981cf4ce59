"""What stands and moves in the street: vehicles, trees, people, bicycles, lamps, signs.

Local frame of a model: origin on the ground, x forward, y left, z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segtween.street.mesh import (
    BOTH_SIDES,
    CUTOUT,
    GLASS,
    LEAF,
    LIGHT,
    PAINT,
    PLAIN,
    TEXTURED,
    Array,
    Colour,
    FrozenMesh,
    Material,
    Mesh,
    cross,
    slot,
)
from segtween.street.textures import LAYER

NUMBER_PLATE = (0.62, 0.50, 0.08)


@dataclass(frozen=True)
class Shape:
    """The outline of a passenger car; lengths in metres, x from the rear bumper."""

    length: float
    width: float
    belt: float
    roof: float
    bonnet: float
    boot: float
    screen: tuple[float, float]
    rear: tuple[float, float]
    wheel: float = 0.31


CARS = {
    "hatchback": Shape(3.9, 1.70, 0.90, 1.47, 0.86, 0.92, (2.95, 2.15), (0.10, 0.45)),
    "saloon": Shape(4.5, 1.76, 0.90, 1.43, 0.84, 0.94, (3.25, 2.50), (0.55, 1.20)),
    "estate": Shape(4.6, 1.76, 0.92, 1.48, 0.86, 0.95, (3.35, 2.60), (0.12, 0.40)),
    "suv": Shape(4.5, 1.86, 1.08, 1.72, 1.04, 1.08, (3.20, 2.60), (0.08, 0.35), 0.37),
    "small": Shape(3.4, 1.58, 0.90, 1.50, 0.86, 0.92, (2.75, 2.00), (0.06, 0.35), 0.28),
    "van": Shape(4.9, 1.90, 1.10, 1.95, 1.02, 1.12, (4.30, 3.65), (0.06, 0.16), 0.34),
}


def _loft(mesh: Mesh, grid: Array, material: Material, *, inside: Any = None) -> None:
    """A smooth surface through (rows, columns, 3) points, seen from outside (away from `inside`)."""
    du, dv = np.gradient(grid, axis=0), np.gradient(grid, axis=1)
    n = cross(du, dv)
    n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-9)
    centre = grid.mean(axis=(0, 1)) if inside is None else np.asarray(inside, np.float64)
    if ((grid - centre) * n).sum() < 0:
        n = -n
    corner = [np.s_[:-1, :-1], np.s_[1:, :-1], np.s_[1:, 1:], np.s_[:-1, 1:]]
    points = np.stack([grid[c] for c in corner], axis=2).reshape(-1, 4, 3)
    normals = np.stack([n[c] for c in corner], axis=2).reshape(-1, 4, 3)
    mesh.quads(points, material, normals=normals)


def _mix(a: Any, b: Any, k: float) -> Array:
    return np.asarray(a, np.float64) * (1 - k) + np.asarray(b, np.float64) * k


def _glazed(mesh: Mesh, corners: list[Any], label: str, *, panes: tuple[float, ...], rim: float) -> None:
    """A painted quad (corners: low left, low right, high right, high left) with glass panes let into it."""
    body, glass = Material(PAINT, label, slot(0)), Material(GLASS, label, (0.018, 0.021, 0.024))
    low0, low1, high1, high0 = (np.asarray(c, np.float64) for c in corners)
    normal = cross(low1 - low0, high0 - low0)
    middle = (low0 + low1 + high0 + high1) / 4
    # Cabins stand around the model's own axis or in front of it, so that outside is away from it.
    if normal @ (middle - (0.3 * middle[0], 0, 0.5)) < 0:
        normal = -normal
    normals = np.tile(normal / np.linalg.norm(normal), (1, 4, 1))

    def at(u: float, v: float) -> Array:
        return _mix(_mix(low0, low1, u), _mix(high0, high1, u), v)

    def quad(u0: float, u1: float, v0: float, v1: float, material: Material) -> None:
        mesh.quads([[at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]], material, normals=normals)

    quad(0, 1, 0, 0.06, body)
    quad(0, 1, 1 - rim, 1, body)
    edges = [0.0, *panes, 1.0]
    for i in range(len(edges) - 1):
        quad(edges[i], edges[i + 1], 0.06, 1 - rim, body if i % 2 == 0 else glass)


def _wheels(mesh: Mesh, xs: tuple[float, ...], half: float, radius: float, label: str) -> None:
    tyre, arch = Material(PLAIN, label, (0.022, 0.022, 0.024)), Material(PLAIN, label, (0.012, 0.012, 0.013))
    hub, bolt = Material(PAINT, label, (0.34, 0.35, 0.37)), Material(PLAIN, label, (0.06, 0.06, 0.065))
    for x in xs:
        for side in (-1.0, 1.0):
            y = side * (half + 0.012)
            mesh.disc((x, y - side * 0.008, radius + 0.03), (0, side, 0), radius * 1.17, arch, sides=14)
            mesh.tube((x, y - side * 0.2, radius), (x, y + side * 0.012, radius), radius, radius, tyre, sides=14)
            mesh.disc((x, y + side * 0.013, radius), (0, side, 0), radius, tyre, sides=14)
            mesh.disc((x, y + side * 0.02, radius), (0, side, 0), radius * 0.66, hub, sides=10)
            mesh.disc((x, y + side * 0.026, radius), (0, side, 0), radius * 0.2, bolt, sides=6)


def _upright(mesh: Mesh, x: float, y: tuple[float, float], z: tuple[float, float], material: Material) -> None:
    """A rectangle that faces forward or back."""
    mesh.quads([[(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]], material)


def _lamp(mesh: Mesh, at: Any, size: Any, colour: Colour, strength: float, label: str) -> None:
    c, s = np.asarray(at, np.float64), np.asarray(size, np.float64) / 2
    mesh.box(c - s, c + s, Material(LIGHT, label, colour, parameter=strength))


def car(shape: Shape) -> FrozenMesh:
    """A passenger car; colour slot 0 is its paint."""
    mesh, label = Mesh(), "car"
    body = Material(PAINT, label, slot(0), flags=BOTH_SIDES)
    dark = Material(PLAIN, label, (0.03, 0.03, 0.033), flags=BOTH_SIDES)
    trim = Material(PLAIN, label, (0.05, 0.05, 0.055), flags=BOTH_SIDES)
    half, L = shape.width / 2, shape.length
    # Shell up to the waist: stations from the rear bumper to the front one.
    x = np.array([0.0, 0.06, 0.25, 0.5, 1.1, L * 0.5, L - 1.5, L - 0.9, L - 0.35, L - 0.1, L])
    screen = shape.screen[0]
    top = np.interp(
        x,
        [0, 0.1, shape.rear[0] + 0.1, screen - 0.05, screen + 0.1, L - 0.5, L - 0.12, L],
        [shape.boot - 0.12, shape.boot, shape.belt + 0.03, shape.belt, shape.bonnet + 0.05, shape.bonnet - 0.06,
         shape.bonnet - 0.16, shape.bonnet - 0.3],
    )  # fmt: skip
    wide = half * np.interp(
        x, [0, 0.06, 0.3, 0.9, L - 1.0, L - 0.3, L - 0.08, L], [0.78, 0.88, 0.95, 1, 1, 0.94, 0.84, 0.7]
    )
    rise = np.interp(x, [0, 0.35, L - 0.4, L], [0.36, 0.22, 0.20, 0.34])
    ring_y = np.array([0.90, 0.98, 1.0, 0.985, 0.94, 0.80, 0.0])
    grid = np.zeros((len(x), 13, 3))
    for i in range(len(x)):
        low, high = rise[i], top[i]
        ring_z = np.array([low, low + 0.18 * (high - low), low + 0.45 * (high - low), low + 0.8 * (high - low),
                           high - 0.05, high, high + 0.035])  # fmt: skip
        ring = np.stack([ring_y * wide[i], ring_z], axis=1)
        both = np.concatenate([ring, ring[-2::-1] * (-1, 1)])
        grid[i] = np.column_stack([np.full(13, x[i] - L / 2), both])
    _loft(mesh, grid[:, 1:12], body, inside=(0, 0, 0.5))
    for strip in (grid[:, :2], grid[:, 11:]):
        _loft(mesh, strip, trim, inside=(0, 0, 0.6))
    for end in (0, -1):
        mesh.quads([[grid[end, 0], grid[end, 12], grid[end, 9], grid[end, 3]]], trim)
        mesh.quads([[grid[end, 3], grid[end, 9], grid[end, 7], grid[end, 5]]], body)
    mesh.quads([[(-L / 2 + 0.1, -half * 0.9, 0.22), (-L / 2 + 0.1, half * 0.9, 0.22), (L / 2 - 0.1, half * 0.9, 0.22),
                 (L / 2 - 0.1, -half * 0.9, 0.22)]], dark)  # fmt: skip
    # Cabin.
    f0, f1, r0, r1 = (v - L / 2 for v in (screen, shape.screen[1], shape.rear[0], shape.rear[1]))
    base, roof = half * 0.93, half * 0.74
    zb, zr = shape.belt - 0.01, shape.roof
    lift = zr - 0.05
    panes = (0.08, 0.47, 0.52, 0.90) if shape.roof < 1.9 else (0.08, 0.10, 0.66, 0.94)
    for s in (1.0, -1.0):
        corners = [(r0, s * base, zb), (f0, s * base, zb), (f1, s * roof, lift), (r1, s * roof, lift)]
        _glazed(mesh, corners, label, panes=panes, rim=0.10)
    windscreen = [(f0, base, zb), (f0, -base, zb), (f1, -roof, lift), (f1, roof, lift)]
    _glazed(mesh, windscreen, label, panes=(0.06, 0.94), rim=0.06)
    rear = [(r0, -base, zb), (r0, base, zb), (r1, roof, lift), (r1, -roof, lift)]
    _glazed(mesh, rear, label, panes=(0.08, 0.92), rim=0.12)
    xs = np.linspace(r1, f1, 4)
    ys = np.array([1.0, 0.86, 0.4, -0.4, -0.86, -1.0]) * roof
    crown = np.zeros((4, 6, 3))
    crown[..., 0], crown[..., 1] = xs[:, None], ys[None]
    bulge = np.array([0, 0.9, 1, 0.9])[:, None] * 0 + np.array([0.0, 0.035, 0.055, 0.055, 0.035, 0.0])[None]
    crown[..., 2] = lift + bulge + np.array([0, 0.015, 0.015, 0])[:, None]
    _loft(mesh, crown, body, inside=(0, 0, 0))
    _wheels(mesh, (0.72 - L / 2, L / 2 - 0.78), half * 0.985, shape.wheel, label)
    front, back = L / 2, -L / 2
    for s in (-1.0, 1.0):
        lit, red = (
            (front - 0.16, s * half * 0.66, shape.bonnet - 0.24),
            (back + 0.10, s * half * 0.72, shape.boot - 0.17),
        )
        _lamp(mesh, lit, (0.22, 0.36, 0.13), (0.75, 0.78, 0.8), 0.35, label)
        _lamp(mesh, red, (0.2, 0.26, 0.17), (0.55, 0.015, 0.01), 0.5, label)
        mesh.ball((f0 - 0.25, s * (base + 0.12), zb + 0.06), (0.07, 0.11, 0.07), body, around=6, rings=3)
    yellow = Material(PLAIN, label, NUMBER_PLATE, flags=BOTH_SIDES)
    plate = Material(PLAIN, label, (0.62, 0.62, 0.6), flags=BOTH_SIDES)
    _upright(mesh, front + 0.005, (-0.26, 0.26), (0.40, 0.52), plate)
    _upright(mesh, back - 0.005, (0.26, -0.26), (0.50, 0.62), yellow)
    _upright(mesh, front + 0.004, (-0.42, 0.42), (0.53, 0.62), dark)
    return mesh.freeze()


def bus() -> FrozenMesh:
    mesh, label = Mesh(), "bus"
    L, half, top = 10.5, 1.24, 3.0
    side = Material(TEXTURED, label, slot(0), LAYER["livery"])
    body = Material(PAINT, label, slot(0), flags=BOTH_SIDES)
    glass = Material(GLASS, label, (0.02, 0.024, 0.028), flags=BOTH_SIDES)
    for s in (-1.0, 1.0):
        a, b = (-L / 2, L / 2) if s < 0 else (L / 2, -L / 2)
        mesh.quads([[(a, s * half, 0.3), (b, s * half, 0.3), (b, s * half, top), (a, s * half, top)]], side,
                   uv=[[(0, 0), (L / 4, 0), (L / 4, 1), (0, 1)]])  # fmt: skip
    mesh.quads([[(-L / 2, -half, top), (L / 2, -half, top), (L / 2, half, top), (-L / 2, half, top)]], body)
    for x, s in ((L / 2, 1.0), (-L / 2, -1.0)):
        _upright(mesh, x, (-s * half, s * half), (0.3, top), body)
        e, z0, z1 = x + s * 0.01, 1.15 if s > 0 else 1.6, 2.35
        _upright(mesh, e, (-s * 1.1, s * 1.1), (z0, z1), glass)
        board = Material(LIGHT, label, (0.5, 0.33, 0.05), parameter=0.5, flags=BOTH_SIDES)
        _upright(mesh, e, (-s * 0.8, s * 0.8), (2.5, 2.8), board)
        for y in (-1.0, 1.0):
            tint = (0.8, 0.8, 0.78) if s > 0 else (0.55, 0.015, 0.01)
            _lamp(mesh, (x, y * 1.0, 0.75), (0.06, 0.26, 0.22), tint, 0.4, label)
    mesh.quads(
        [[(-5, half, 0.3), (5, half, 0.3), (5, -half, 0.3), (-5, -half, 0.3)]], Material(PLAIN, label, (0.02,) * 3)
    )
    _wheels(mesh, (-3.2, 3.2), half - 0.005, 0.46, label)
    return mesh.freeze()


def truck() -> FrozenMesh:
    """A box van with a cab; slot 0 is the cab, slot 1 the box."""
    mesh, label = Mesh(), "truck"
    L, half = 7.0, 1.15
    cab, box = Material(PAINT, label, slot(0)), Material(PAINT, label, slot(1))
    dark = Material(PLAIN, label, (0.03, 0.03, 0.03), flags=BOTH_SIDES)
    mesh.box((-L / 2, -half, 0.85), (L / 2 - 1.75, half, 3.1), box, bottom=True)
    mesh.box((-L / 2 + 0.1, -0.45, 0.45), (L / 2 - 0.4, 0.45, 0.85), dark, bottom=True)
    x0, x1 = L / 2 - 1.65, L / 2
    mesh.box((x0, -half * 0.95, 0.4), (x1, half * 0.95, 1.35), cab, bottom=True)
    for s in (1.0, -1.0):
        y = s * half * 0.95
        panel = [(x0, y, 1.35), (x1, y, 1.35), (x1 - 0.35, y * 0.95, 2.35), (x0, y * 0.95, 2.35)]
        _glazed(mesh, panel, label, panes=(0.32, 0.92), rim=0.15)
        _lamp(mesh, (x1, s * 0.85, 0.75), (0.06, 0.28, 0.18), (0.8, 0.8, 0.78), 0.35, label)
        _lamp(mesh, (-L / 2, s * 0.95, 0.75), (0.08, 0.24, 0.14), (0.5, 0.012, 0.01), 0.5, label)
    y = half * 0.95
    _glazed(mesh, [(x1, y, 1.35), (x1, -y, 1.35), (x1 - 0.35, -y * 0.95, 2.35), (x1 - 0.35, y * 0.95, 2.35)], label,
            panes=(0.06, 0.94), rim=0.1)  # fmt: skip
    mesh.quads(
        [[(x0, -y * 0.95, 2.35), (x1 - 0.35, -y * 0.95, 2.35), (x1 - 0.35, y * 0.95, 2.35), (x0, y * 0.95, 2.35)]], cab
    )
    _upright(mesh, x1 + 0.01, (-0.7, 0.7), (0.65, 1.0), dark)
    mesh.box((-L / 2 - 0.03, -0.02, 0.95), (-L / 2, 0.02, 3.0), dark)
    plate = Material(PLAIN, label, NUMBER_PLATE, flags=BOTH_SIDES)
    _upright(mesh, -L / 2 - 0.01, (0.26, -0.26), (0.6, 0.72), plate)
    _wheels(mesh, (-L / 2 + 1.4, L / 2 - 0.95), half - 0.03, 0.42, label)
    return mesh.freeze()


def tree(rng: np.random.Generator, *, kind: str) -> FrozenMesh:
    """`kind`: round, tall, cone, bare or bush."""
    mesh, label = Mesh(), "vegetation"
    bark = Material(TEXTURED, label, (1, 1, 1), LAYER["bark"])
    height = {"round": 7.5, "tall": 11.0, "cone": 8.0, "bare": 8.0, "bush": 1.5}[kind] * rng.uniform(0.8, 1.25)
    trunk = 0.0 if kind == "bush" else height * (0.12 if kind == "cone" else 0.3)
    spread = {"round": 0.36, "tall": 0.22, "cone": 0.2, "bare": 0.34, "bush": 0.7}[kind] * height
    r = 0.02 * height + 0.04
    lean = rng.normal(0, 0.02, 2) * height
    fork = np.array([lean[0], lean[1], trunk + 0.15 * height])
    if kind != "bush":
        mesh.tube((0, 0, -0.1), fork, r, r * 0.7, bark, sides=7)
    centre = np.array([lean[0], lean[1], trunk + 0.5 * (height - trunk)])
    radii = np.array([spread, spread, 0.55 * (height - trunk)])
    for _ in range(0 if kind == "bush" else 16 if kind == "bare" else 7):
        a, rise = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.95)
        flat = np.sqrt(1 - rise * rise)
        tip = centre + radii * 0.8 * np.array([np.cos(a) * flat, np.sin(a) * flat, rise])
        start = np.array([lean[0] * 0.6, lean[1] * 0.6, rng.uniform(trunk * 0.75, fork[2])])
        elbow = _mix(start, tip, 0.55) + np.array([0, 0, 0.08 * height])
        mesh.tube(start, elbow, r * 0.45, r * 0.3, bark, sides=5)
        mesh.tube(elbow, tip, r * 0.3, r * 0.08, bark, sides=4)
    count = {"round": 74, "tall": 80, "cone": 64, "bare": 46, "bush": 12}[kind]
    size = {"round": 0.20, "tall": 0.125, "cone": 0.14, "bare": 0.19, "bush": 0.62}[kind] * height
    leaf = LAYER["twigs"] if kind == "bare" else LAYER["leaves2" if kind in ("cone", "tall") else "leaves"]
    cards: list[tuple[Array, ...]] = []
    base = np.array([1.0, 1.0, 1.0]) * rng.uniform(0.75, 1.1)
    base = base * ([0.72, 0.9, 0.9] if kind == "cone" else [rng.uniform(0.75, 1.15), 1.0, rng.uniform(0.7, 1.1)])
    for _ in range(count):
        d = rng.standard_normal(3)
        d /= np.linalg.norm(d)
        depth = rng.uniform(0.45, 0.92)
        at = centre + d * radii * depth
        if kind == "cone":
            k = 1.0 - rng.random() ** 0.7
            at = np.array([lean[0], lean[1], trunk + (height - trunk) * k])
            at[:2] += d[:2] / max(float(np.linalg.norm(d[:2])), 0.2) * spread * (1.05 - k) * rng.uniform(0.5, 0.95)
        if kind == "bush":
            at[2] = max(at[2], 0.45 * size)
        side = cross(d, rng.standard_normal(3))
        side /= np.linalg.norm(side)
        up = cross(d + rng.normal(0, 0.5, 3), side)
        up /= np.linalg.norm(up)
        s = size * rng.uniform(0.7, 1.15)
        quad = np.array(
            [at - side * s - up * s, at + side * s - up * s, at + side * s + up * s, at - side * s + up * s]
        )
        out = (quad - centre) / radii
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
        rim = np.linalg.norm((quad - centre) / radii, axis=1)
        light = np.clip(0.30 + 0.55 * rim + 0.22 * out[:, 2], 0.2, 1.0)
        cards.append((quad, out if kind != "bare" else np.tile(d, (4, 1)), light, base * rng.uniform(0.82, 1.12)))
    quads, normals, lights, tints = (np.array(v) for v in zip(*cards, strict=True))
    material = Material(LEAF, label, layer=leaf, flags=BOTH_SIDES | CUTOUT)
    uv = np.tile([(0, 0), (1, 0), (1, 1), (0, 1)], (count, 1, 1))
    mesh.quads(quads, material, normals=normals, uv=uv, light=lights, tints=tints)
    return mesh.freeze()


def lamp_post(*, height: float, reach: float) -> FrozenMesh:
    mesh = Mesh()
    steel = Material(PLAIN, "pole", (0.16, 0.17, 0.175))
    glow = Material(LIGHT, "pole", (0.8, 0.8, 0.75), parameter=0.15)
    mesh.tube((0, 0, 0), (0, 0, 1.2), 0.11, 0.10, steel, sides=8)
    mesh.tube((0, 0, 1.2), (0, 0, height), 0.075, 0.055, steel, sides=8)
    mesh.tube((0, 0, height), (0, reach * 0.5, height + 0.35), 0.045, 0.04, steel)
    mesh.tube((0, reach * 0.5, height + 0.35), (0, reach, height + 0.4), 0.04, 0.04, steel)
    mesh.box((-0.13, reach - 0.1, height + 0.33), (0.13, reach + 0.5, height + 0.46), steel)
    mesh.box((-0.1, reach, height + 0.29), (0.1, reach + 0.45, height + 0.33), glow, bottom=True)
    return mesh.freeze()


def post(*, height: float, radius: float = 0.04, colour: Colour = (0.2, 0.2, 0.21)) -> FrozenMesh:
    mesh = Mesh()
    steel = Material(PLAIN, "pole", colour)
    mesh.tube((0, 0, 0), (0, 0, height), radius, radius, steel, sides=7)
    mesh.ball((0, 0, height), (radius, radius, radius * 0.6), steel, around=7, rings=3)
    return mesh.freeze()


def sign(face: int, *, height: float) -> FrozenMesh:
    """A sign on a post, its face towards -x (towards traffic that drives along +x)."""
    mesh = Mesh()
    steel, back = Material(PLAIN, "pole", (0.3, 0.3, 0.31)), Material(PLAIN, "traffic-sign", (0.22, 0.22, 0.23))
    mesh.tube((0, 0, 0), (0, 0, height + 0.3), 0.038, 0.038, steel)
    u0, v0 = (face % 4) / 4, 1 - (face // 4 + 1) / 4
    front = Material(TEXTURED, "traffic-sign", layer=LAYER["signs"])
    kind, r = face % 8, 0.40
    if kind == 4:
        outline = [(-0.5, -0.4), (0.5, -0.4), (0.0, 0.5)]
    elif kind in (5, 6):
        w, h = (0.34, 0.42) if kind == 5 else (0.8, 0.48)
        outline = [(-w, -h), (w, -h), (w, h), (-w, h)]
    else:
        a = np.linspace(0, 2 * np.pi, 15)[:-1]
        outline = list(zip(np.cos(a) * r, np.sin(a) * r, strict=True))
    size = max(max(abs(x), abs(y)) for x, y in outline)
    wide = max(abs(x) for x, _ in outline)
    tall = max(abs(y) for _, y in outline)
    k = 0.47 / 4
    across, upwards = (size, size) if kind == 4 else (wide, tall)
    for x, towards, material in ((-0.05, -1.0, front), (-0.042, 1.0, back)):
        for i in range(len(outline)):
            a2, b2 = outline[i], outline[(i + 1) % len(outline)]
            points = [(x, 0, height), (x, -a2[0], height + a2[1]), (x, -b2[0], height + b2[1])]
            uv = [(u0 + 0.125 + p / across * k, v0 + 0.125 + q / upwards * k)
                  for p, q in ((0, 0), a2, b2)]  # fmt: skip
            mesh.triangles([points], material, normals=np.tile((towards, 0, 0), (1, 3, 1)), uv=[uv])
    return mesh.freeze()


def traffic_light(state: str) -> FrozenMesh:
    """Facing -x. `state`: red, amber or green."""
    mesh = Mesh()
    label = "traffic-light"
    pole, case = Material(PLAIN, "pole", (0.05, 0.052, 0.055)), Material(PLAIN, label, (0.018, 0.019, 0.02))
    mesh.tube((0, 0, 0), (0, 0, 2.5), 0.06, 0.055, pole, sides=8)
    mesh.box((-0.1, -0.17, 2.45), (0.12, 0.17, 3.45), case, bottom=True)
    board = Material(PLAIN, label, (0.02, 0.021, 0.022), flags=BOTH_SIDES)
    _upright(mesh, 0.02, (0.28, -0.28), (2.35, 3.55), board)
    lamps = {"red": (3.28, (1.0, 0.03, 0.015)), "amber": (2.95, (1.0, 0.45, 0.02)), "green": (2.62, (0.05, 0.9, 0.35))}
    for name, (z, colour) in lamps.items():
        on = name == state
        off = (colour[0] * 0.05, colour[1] * 0.05, colour[2] * 0.05)
        lamp = Material(LIGHT, label, colour if on else off, parameter=2.2 if on else 0.2)
        mesh.disc((-0.115, 0, z), (-1, 0, 0), 0.115, lamp, sides=12)
        mesh.box((-0.27, -0.13, z + 0.1), (-0.1, 0.13, z + 0.125), case, bottom=True)
    return mesh.freeze()


def bin_box() -> FrozenMesh:
    """A litter bin; counts as a pole-like object of the street."""
    mesh = Mesh()
    mesh.tube((0, 0, 0), (0, 0, 0.95), 0.26, 0.28, Material(PLAIN, "pole", (0.03, 0.06, 0.045)), sides=10)
    mesh.ball((0, 0, 0.95), (0.29, 0.29, 0.16), Material(PLAIN, "pole", (0.025, 0.05, 0.04)), around=10, rings=4)
    return mesh.freeze()


def bollard() -> FrozenMesh:
    mesh = Mesh()
    dark, white = Material(PLAIN, "pole", (0.03, 0.03, 0.033)), Material(PLAIN, "pole", (0.6, 0.6, 0.58))
    mesh.tube((0, 0, 0), (0, 0, 0.75), 0.075, 0.07, dark, sides=8)
    mesh.tube((0, 0, 0.75), (0, 0, 0.87), 0.075, 0.075, white, sides=8)
    mesh.ball((0, 0, 0.87), (0.075, 0.075, 0.07), dark, around=8, rings=4)
    return mesh.freeze()


def bicycle() -> FrozenMesh:
    mesh, label = Mesh(), "bicycle"
    tyre, frame = Material(PLAIN, label, (0.02,) * 3), Material(PAINT, label, slot(0))
    spoke = Material(PLAIN, label, (0.25, 0.25, 0.26))
    for x in (-0.52, 0.52):
        a = np.linspace(0, 2 * np.pi, 17)
        rim = np.stack([x + 0.335 * np.cos(a), 0 * a, 0.345 + 0.335 * np.sin(a)], axis=1)
        for i in range(16):
            mesh.tube(rim[i], rim[i + 1], 0.024, 0.024, tyre, sides=4)
        for i in range(0, 16, 4):
            mesh.tube(rim[i], rim[(i + 8) % 16], 0.006, 0.006, spoke, sides=3)
    joints = {"hub": (-0.52, 0, 0.345), "crank": (-0.08, 0, 0.30), "seat": (-0.24, 0, 0.86), "head": (0.36, 0, 0.82),
              "fork": (0.52, 0, 0.345), "bar": (0.34, 0, 1.0)}  # fmt: skip
    for a2, b2 in (("hub", "crank"), ("hub", "seat"), ("crank", "seat"), ("crank", "head"), ("seat", "head"),
                   ("head", "fork"), ("head", "bar")):  # fmt: skip
        mesh.tube(joints[a2], joints[b2], 0.02, 0.02, frame, sides=5)
    mesh.tube((0.36, -0.26, 1.0), (0.36, 0.26, 1.0), 0.016, 0.016, tyre, sides=5)
    mesh.ball((-0.25, 0, 0.92), (0.14, 0.07, 0.035), tyre, around=6, rings=3)
    return mesh.freeze()


def body(label: str, *, skin: Colour, long_coat: bool, bag: bool, helmet: bool) -> FrozenMesh:
    """Trunk and head, standing on hips at the origin (0.92 m above the ground when upright)."""
    mesh = Mesh()
    coat, skin_m, hair = Material(PLAIN, label, slot(0)), Material(PLAIN, label, skin), Material(PLAIN, label, slot(2))
    z = np.array([-0.32 if long_coat else -0.1, 0.0, 0.22, 0.42, 0.50, 0.545])
    rx = np.array([0.155, 0.125, 0.115, 0.125, 0.095, 0.05])
    ry = np.array([0.205, 0.175, 0.165, 0.215, 0.185, 0.055])
    a = np.linspace(0, 2 * np.pi, 11)
    grid = np.stack([rx[:, None] * np.cos(a), ry[:, None] * np.sin(a), z[:, None] + 0 * a], axis=-1)
    _loft(mesh, grid, coat)
    mesh.tube((0, 0, 0.53), (0.01, 0, 0.62), 0.052, 0.05, skin_m, sides=6)
    mesh.ball((0.02, 0, 0.71), (0.098, 0.08, 0.122), skin_m, around=8, rings=6)
    mesh.ball((-0.012, 0, 0.745), (0.105, 0.092, 0.105), hair, around=8, rings=5)
    if helmet:
        mesh.ball((0.0, 0, 0.775), (0.14, 0.105, 0.085), Material(PAINT, label, slot(2)), around=8, rings=4)
    if bag:
        mesh.box((-0.27, -0.14, 0.08), (-0.11, 0.14, 0.46), Material(PLAIN, label, (0.06, 0.05, 0.07)), bottom=True)
    return mesh.freeze()


def limb(
    label: str, *, length: float, radii: tuple[float, float], colour: Colour, foot: Colour | None, hand: Colour | None
) -> FrozenMesh:
    """Hangs from the origin down to z = -length."""
    mesh = Mesh()
    m = Material(PLAIN, label, colour)
    mesh.tube((0, 0, 0.02), (0, 0, -length), radii[0], radii[1], m, sides=7)
    mesh.ball((0, 0, 0), (radii[0],) * 3, m, around=6, rings=3)
    if foot is not None:
        mesh.ball((0.06, 0, -length - 0.01), (0.14, 0.05, 0.055), Material(PLAIN, label, foot), around=7, rings=4)
    if hand is not None:
        mesh.ball((0, 0, -length - 0.03), (0.045, 0.035, 0.06), Material(PLAIN, label, hand), around=6, rings=4)
    return mesh.freeze()
