"""Triangle meshes: one vertex record, one face record, and the shapes everything is built from.

World: metres, x and y on the ground, z up. A mesh is a triangle soup: `verts` (T, 3, 9) float32 with
position, unit normal, texture coordinates and ambient light (0..1); `faces` (T, 8) float32 with kind,
texture layer, colour (red, green, blue; red < 0 names a colour slot of the instance), parameter,
Cityscapes train id and flags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import CITYSCAPES19

Array = NDArray[np.float64]
Colour = tuple[float, float, float]

TEXTURED, ROAD, PLAIN, PAINT, GLASS, LIGHT, LEAF = range(7)
"""What a face is made of. `parameter` is the road layout of ROAD and the strength of LIGHT."""

BOTH_SIDES, CUTOUT, NO_SHADOW = 1, 2, 4
"""Flags of a face: seen from behind too; its texture's alpha cuts holes; it casts no shadow."""

LABEL = {name: i for i, name in enumerate(CITYSCAPES19.names)}


def slot(index: int) -> Colour:
    """The colour that each instance chooses for itself, slots 0..2."""
    return (-1.0 - index, 0.0, 0.0)


@dataclass(frozen=True)
class Material:
    kind: int
    label: str
    colour: Colour = (1.0, 1.0, 1.0)
    layer: int = 0
    parameter: float = 0.0
    flags: int = 0

    def row(self) -> list[float]:
        return [self.kind, self.layer, *self.colour, self.parameter, LABEL[self.label], self.flags]


def cross(a: Any, b: Any) -> NDArray[np.float64]:
    """The cross product of vectors (..., 3): what `np.cross` gives, whose preparations take many times as long for a
    few vectors, of which a street has thousands."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    y = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    z = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.stack([x, y, z], axis=-1)


class Mesh:
    """Collects faces; `freeze` gives the two arrays."""

    def __init__(self) -> None:
        self._verts: list[NDArray[np.float32]] = []
        self._faces: list[NDArray[np.float32]] = []

    def triangles(
        self, points: Any, material: Material, *, normals: Any = None, uv: Any = None, light: Any = None,
        tints: Any = None,
    ) -> None:  # fmt: skip
        """`points` (N, 3, 3); normals default to the flat ones. Windings are turned to agree with normals.

        `tints` (N, 3) are colours instead of the material's.
        """
        p = np.asarray(points, np.float64).reshape(-1, 3, 3)
        flat = cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        flat /= np.maximum(length, 1e-12)
        v = np.zeros((len(p), 3, 9), np.float32)
        v[..., :3] = p
        v[..., 3:6] = flat[:, None] if normals is None else np.asarray(normals, np.float64).reshape(-1, 3, 3)
        if uv is not None:
            v[..., 6:8] = np.asarray(uv, np.float64).reshape(-1, 3, 2)
        v[..., 8] = 1.0 if light is None else np.asarray(light, np.float64).reshape(-1, 3)
        wrong = (v[..., 3:6].mean(axis=1) * flat).sum(axis=1) < 0
        v[wrong] = v[wrong][:, ::-1]
        keep = length[:, 0] > 1e-9
        self._verts.append(v[keep])
        faces = np.tile(np.array(material.row(), np.float32), (len(p), 1))
        if tints is not None:
            faces[:, 2:5] = tints
        self._faces.append(faces[keep])

    def quads(
        self, points: Any, material: Material, *, normals: Any = None, uv: Any = None, light: Any = None,
        tints: Any = None,
    ) -> None:  # fmt: skip
        """`points` (N, 4, 3), counter-clockwise seen from the front."""

        def split(values: Any, width: int) -> Any:
            if values is None:
                return None
            a = np.asarray(values, np.float64).reshape(-1, 4, width)
            return a[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3, width)

        self.triangles(
            split(points, 3), material, normals=split(normals, 3), uv=split(uv, 2), light=split(light, 1),
            tints=None if tints is None else np.repeat(tints, 2, axis=0),
        )  # fmt: skip

    def box(
        self, low: Any, high: Any, material: Material, *, bottom: bool = False, top: Material | None = None
    ) -> None:
        """An axis-aligned box with texture coordinates in metres."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        w, d, h = x1 - x0, y1 - y0, z1 - z0
        sides = [
            [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
            [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
            [(x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)],
            [(x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)],
        ]
        uv = [[(0, 0), (a, 0), (a, h), (0, h)] for a in (w, d, w, d)]
        self.quads(sides, material, uv=uv)
        flat_uv = [[(0, 0), (w, 0), (w, d), (0, d)]]
        self.quads([[(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)]], top or material, uv=flat_uv)
        if bottom:
            self.quads([[(x0, y1, z0), (x1, y1, z0), (x1, y0, z0), (x0, y0, z0)]], material, uv=flat_uv)

    def tube(self, start: Any, end: Any, r0: float, r1: float, material: Material, *, sides: int = 6) -> None:
        """A tapered tube without ends; texture coordinates once around and in metres along."""
        a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
        axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
        side = cross(axis, (1.0, 0, 0) if abs(axis[0]) < 0.7 else (0, 1.0, 0))
        side /= np.linalg.norm(side)
        up = cross(axis, side)
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        n = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up
        low, high = a + n * r0, b + n * r1
        points = np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
        normals = np.stack([n[:-1], n[1:], n[1:], n[:-1]], axis=1)
        u, along = np.linspace(0, 1, sides + 1), float(np.linalg.norm(b - a))
        uv = np.zeros((sides, 4, 2))
        uv[:, 0, 0], uv[:, 1, 0], uv[:, 2, 0], uv[:, 3, 0] = u[:-1], u[1:], u[1:], u[:-1]
        uv[:, 2:, 1] = along
        self.quads(points, material, normals=normals, uv=uv)

    def ball(self, centre: Any, radii: Any, material: Material, *, around: int = 8, rings: int = 5) -> None:
        """An ellipsoid."""
        a = np.linspace(0, 2 * np.pi, around + 1)
        b = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
        unit = np.stack(
            [np.cos(b)[:, None] * np.cos(a), np.cos(b)[:, None] * np.sin(a), np.sin(b)[:, None] + 0 * a], axis=-1
        )
        p = np.asarray(centre, np.float64) + unit * np.asarray(radii, np.float64)
        n = unit / np.asarray(radii, np.float64)
        n /= np.linalg.norm(n, axis=-1, keepdims=True)
        corner = [np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, 1:], np.s_[1:, :-1]]
        points = np.stack([p[c] for c in corner], axis=2).reshape(-1, 4, 3)
        normals = np.stack([n[c] for c in corner], axis=2).reshape(-1, 4, 3)
        self.quads(points, material, normals=normals)

    def disc(self, centre: Any, normal: Any, radius: float, material: Material, *, sides: int = 12) -> None:
        """A flat disc; texture coordinates span -1..1 scaled to 0..1, upright in z."""
        n = np.asarray(normal, np.float64) / np.linalg.norm(normal)
        side = cross((0, 0, 1.0) if abs(n[2]) < 0.9 else (1.0, 0, 0), n)
        side /= np.linalg.norm(side)
        up = cross(n, side)
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        rim = np.asarray(centre, np.float64) + radius * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * up)
        rim_uv = np.stack([0.5 + 0.5 * np.cos(angle), 0.5 + 0.5 * np.sin(angle)], axis=1)
        centres = np.tile(np.asarray(centre, np.float64), (sides, 1))
        points = np.stack([centres, rim[:-1], rim[1:]], axis=1)
        uv = np.stack([np.full((sides, 2), 0.5), rim_uv[:-1], rim_uv[1:]], axis=1)
        self.triangles(points, material, normals=np.tile(n, (sides, 3, 1)), uv=uv)

    def add(self, mesh: FrozenMesh, *, at: Any, heading: float = 0.0, scale: float = 1.0, colours: Any = None) -> None:
        """A copy of a finished mesh, turned about z and moved; its colour slots are filled from `colours`."""
        c, s = np.cos(heading), np.sin(heading)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        v = mesh.verts.copy()
        v[..., :3] = (v[..., :3] * scale) @ turn + np.asarray(at, np.float32)
        v[..., 3:6] = v[..., 3:6] @ turn
        f = mesh.faces.copy()
        if colours is not None:
            for i, colour in enumerate(colours):
                f[mesh.faces[:, 2] == -1.0 - i, 2:5] = colour
        self._verts.append(v)
        self._faces.append(f)

    def freeze(self) -> FrozenMesh:
        if not self._verts:
            return FrozenMesh(np.zeros((0, 3, 9), np.float32), np.zeros((0, 8), np.float32))
        return FrozenMesh(np.concatenate(self._verts), np.concatenate(self._faces))


@dataclass(frozen=True, eq=False)
class FrozenMesh:
    verts: NDArray[np.float32]
    faces: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.verts)
