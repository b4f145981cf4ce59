"""A drive as a sequence of frames with their truth."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, check_known
from segtween.labels import LABEL_MAPS
from segtween.street import kernels, shade, textures, truth
from segtween.street.drive import Drive
from segtween.street.look import look
from segtween.street.mesh import TEXTURED, Array, FrozenMesh, Material, Mesh
from segtween.street.path import CHUNK, Path
from segtween.street.traffic import Cast, Traffic
from segtween.street.world import LANE, Piece, Street
from segtween.types import Flow, Labels, Rgb, SizeHW

BEHIND, AHEAD = 2, 10
"""Pieces of street kept behind and ahead of the camera."""

Density = Literal["normal", "heavy"]
DENSITIES: tuple[Density, ...] = get_args(Density)
"""How much traffic there is (`crossing`)."""

CAPACITY = 90_000
SHADOW_CELLS, SHADOW_SPAN = 1280, 176.0
CONTACT_CELLS, CONTACT_SPAN = 512, 102.4
IDENTITY = np.array([[1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]])
CAMVID = np.array(LABEL_MAPS["cityscapes19-to-camvid11"].table, np.uint8)


@dataclass(frozen=True, slots=True)
class StreetFrame:
    """One frame and its truth.

    `flow` is the backward flow of the conventions, (H, W, 2) float32: the point seen at pixel (x, y) was seen at
    (x + dx, y + dy) in the previous frame, moving things included. `occlusion` (H, W) bool is True where that
    point was hidden in the previous frame or outside of it. In a clip's first frame the flow is zero and all is
    occluded.
    """

    index: int
    pts_seconds: Fraction
    rgb: Rgb
    camvid11: Labels
    cityscapes19: Labels
    flow: Flow
    occlusion: NDArray[np.bool_]

    def __repr__(self) -> str:
        h, w = self.cityscapes19.shape
        return f"StreetFrame({self.index}, pts_seconds={float(self.pts_seconds):.6f}, {w}x{h})"


class _Buffers:
    """Triangles and samples of one frame; two of them take turns."""

    def __init__(self, size_hw: SizeHW) -> None:
        h, w = size_hw
        self.edge = np.empty((CAPACITY, 9))
        self.past = np.empty((CAPACITY, 3, 3))
        self.geo = np.empty((CAPACITY, 3, 9), np.float32)
        self.face = np.empty((CAPACITY, 8), np.float32)
        self.box = np.empty((CAPACITY, 4), np.int32)
        self.uid = np.empty(CAPACITY, np.int64)
        self.count = 0
        self.inverse = np.empty((2 * h + 1, 2 * w + 1), np.float32)
        self.ids = np.empty((2 * h + 1, 2 * w + 1), np.int32)


class _Mix:
    """What is shaded for one picture, and how its pixels are mixed from it."""

    def __init__(self, size_hw: SizeHW) -> None:
        n = size_hw[0] * size_hw[1]
        # At most eight other samples lie around a centre; far fewer need shading of their own.
        self.job = np.empty(3 * n, np.int32)
        self.at = np.empty((3 * n, 2), np.float32)
        self.colours = np.empty((3 * n, 3), np.float32)
        self.share = np.empty(n, np.float32)
        self.first = np.empty(n + 1, np.int32)
        self.source = np.empty(8 * n, np.int32)
        self.weight = np.empty(8 * n, np.float32)


class StreetClip:
    """An endless drive through a synthetic street, by seed.

    `size_hw` at least 32 x 32; `frames` None for no end; `start` skips that many frames (the drive is the same,
    the first frame given has no truth for its flow). `traffic` is one of `DENSITIES`: heavy is another drive of the
    seed, slow, with people who cross the road and cross traffic at junctions. The same seed, size, rate and traffic
    give the same bytes. Memory is constant: about 120 MB and 300 bytes per pixel. Raises SettingError.
    """

    def __init__(
        self, seed: int, *, size_hw: SizeHW = (360, 480), frame_rate: Fraction = Fraction(15),
        frames: int | None = None, start: int = 0, traffic: Density = "normal",
    ) -> None:  # fmt: skip
        check_settings(seed=seed, size_hw=size_hw, frame_rate=frame_rate, frames=frames, start=start, traffic=traffic)
        self.traffic = traffic
        self.seed, self.size_hw = seed, (int(size_hw[0]), int(size_hw[1]))
        self.frame_rate, self.frames, self.start = Fraction(frame_rate), frames, start

    def __iter__(self) -> Iterator[StreetFrame]:
        renderer = _Renderer(self.seed, self.size_hw, heavy=self.traffic == "heavy")
        index = self.start
        try:
            while self.frames is None or index < self.start + self.frames:
                yield renderer.frame(index, Fraction(index) / self.frame_rate, first=index == self.start)
                index += 1
        finally:
            renderer.close()


def check_settings(
    *, seed: Any, size_hw: Any, frame_rate: Any, frames: Any, start: Any = 0, traffic: Any = "normal"
) -> None:
    """SettingError for what cannot be rendered."""
    check_known(f"traffic {traffic!r}", str(traffic), DENSITIES)
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise SettingError(f"seed {seed!r}", expected="a whole number of 0 or more", do="choose another seed")
    sizes = tuple(size_hw) if isinstance(size_hw, (tuple, list)) else ()
    if len(sizes) != 2 or not all(isinstance(v, (int, np.integer)) and 32 <= v <= 8192 for v in sizes):
        raise SettingError(
            f"frame size {size_hw!r}", expected="(height, width), each 32 to 8192", do="choose another size"
        )
    if not isinstance(frame_rate, (int, Fraction)) or not 0 < frame_rate <= 1000:
        raise SettingError(
            f"frame rate {frame_rate!r}",
            expected="a fraction above 0, at most 1000",
            do="give for example Fraction(15)",
        )
    if frames is not None and (not isinstance(frames, int) or frames < 1):
        raise SettingError(f"{frames!r} frames", expected="1 or more, or None for no end", do="choose another number")
    if not isinstance(start, int) or start < 0:
        raise SettingError(f"start {start!r}", expected="0 or more frames", do="choose another start")


@lru_cache(maxsize=2)
def _painted(seed: int) -> tuple[tuple[Any, Any, Any], Any]:
    """What a drive's surfaces and sky are painted with, and how far its random numbers have been drawn by then."""
    rng = np.random.default_rng([seed, 81])
    painted = textures.paint(rng), textures.clouds(rng), textures.skyline(rng)
    return painted, rng.bit_generator.state


class _Renderer:
    def __init__(self, seed: int, size_hw: SizeHW, *, heavy: bool = False) -> None:
        self.size_hw, self.seed = size_hw, seed
        h, w = size_hw
        looks = look(seed)
        self.env, self.tone = looks.env.copy(), looks.tone
        (self.textures, self.cloud, self.line), drawn = _painted(seed)
        rng = np.random.default_rng()
        rng.bit_generator.state = drawn
        self.levels = kernels.LEVELS
        side = 1 if rng.random() < 0.6 else -1
        self.height, self.tilt = float(rng.uniform(1.25, 1.5)), float(rng.uniform(-0.012, 0.012))
        self.focal = float(np.sqrt(h * w * 4 / 3) * rng.uniform(0.86, 1.05))
        self.path = Path(seed)
        self.street = Street(seed, self.path, foliage=looks.foliage, side=side, heavy=heavy)
        self.env[shade.ENV["half"]] = self.street.half
        self.drive = Drive(seed, self.path, self.street)
        self.traffic = Traffic(seed, self.path, self.street, self.drive)
        self.pieces: dict[int, Piece] = {}
        self.now, self.before = _Buffers(size_hw), _Buffers(size_hw)
        self.cam_before = np.zeros((3, 4))
        self.seen: dict[int, Array] = {}
        self.seen_pieces: set[int] = set()
        self.basis = self._sun_basis()
        self.still_shadow = np.empty((SHADOW_CELLS, SHADOW_CELLS), np.float32)
        self.shadow = np.empty_like(self.still_shadow)
        self.shadow_piece = -1
        self.contact = np.empty((CONTACT_CELLS, CONTACT_CELLS), np.float32)
        self.ground = _ground()
        self.mix = _Mix(size_hw)
        self.scratch = np.empty((3, 3))
        n = h * w
        self.questions = (np.empty((h + 1, w + 1), np.int32), np.empty(h + 1, np.bool_), np.empty(n, np.int32),
                          np.empty((n, 3)), np.empty((n, 2), np.int32), np.empty(n, np.int64))  # fmt: skip
        self._second = ThreadPoolExecutor(1, thread_name_prefix="street")

    def close(self) -> None:
        self._second.shutdown()

    def _sun_basis(self) -> Array:
        sun = self.env[0:3]
        a = np.cross((0.0, 0.0, 1.0), sun)
        a /= np.linalg.norm(a)
        return np.stack([a, np.cross(sun, a), sun])

    def _camera(self, seconds: float) -> tuple[Array, float]:
        """3x4 matrix to (x w, y w, w) in pixels, and the distance driven; fills the view into `env`."""
        here = self.drive.at(seconds)
        x, y, heading, curve = self.path.at(here.s)
        sway = 0.10 * np.sin(0.031 * here.s + self.seed % 5) + 0.04 * np.sin(0.11 * here.s)
        t = self.street.side * LANE + sway
        look_to = self.path.at(here.s + 5.0)[2]
        yaw = heading + 0.35 * (look_to - heading) + 0.002 * np.sin(0.2 * here.s)
        shake = 0.0011 * min(1.0, here.v / 6) * (np.sin(0.9 * here.s) + 0.6 * np.sin(2.3 * here.s + 1))
        pitch = self.tilt + here.nod + shake
        roll = 0.0012 * np.sin(0.5 * here.s) * min(1.0, here.v / 6) + 0.02 * curve * here.v
        eye = np.array([x - t * np.sin(heading), y + t * np.cos(heading), self.height + 0.006 * np.sin(1.3 * here.s)])
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        down = np.cross(forward, right)
        right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
        h, w = self.size_hw
        cx, cy = (w - 1) / 2, 0.455 * h - 0.5
        env, E = self.env, shade.ENV
        for name, value in (("eye", eye), ("forward", forward), ("right", right), ("down", down), ("centre", (cx, cy))):
            env[E[name] : E[name] + len(value)] = value
        env[E["focal"]] = self.focal
        rows = np.stack([self.focal * right + cx * forward, self.focal * down + cy * forward, forward])
        return np.concatenate([rows, -(rows @ eye)[:, None]], axis=1), here.s

    def _stream(self, s: float) -> None:
        """Pieces come ahead and go behind."""
        first = max(int(s // CHUNK) - BEHIND, 0)
        for index in [i for i in self.pieces if i < first]:
            del self.pieces[index]
        for index in range(first, int(s // CHUNK) + AHEAD + 1):
            if index not in self.pieces:
                self.pieces[index] = self.street.piece(index)
        self.path.drop_before(first - 6)

    def _place(
        self, cam: Array, verts: Any, faces: Any, spans: Any, now: Any, before: Any, colours: Any, uids: Any, fresh: Any
    ) -> None:
        b = self.now
        h, w = self.size_hw
        b.count = kernels.place(
            verts, faces, spans, now, before, colours, uids, fresh, cam, self.cam_before, h, w, b.edge, b.past, b.geo,
            b.face, b.box, b.uid, b.count, self.scratch,
        )  # fmt: skip

    def _place_still(self, cam: Array, s: float) -> None:
        eye = self.env[shade.ENV["eye"] : shade.ENV["eye"] + 3]
        forward = self.env[shade.ENV["forward"] : shade.ENV["forward"] + 3]
        here = int(s // CHUNK)
        for index in sorted(self.pieces, key=lambda i: abs(i - here)):
            piece = self.pieces[index]
            if (piece.centre - eye) @ forward < -75:
                continue
            self._one(cam, piece.mesh, IDENTITY, IDENTITY, index, index not in self.seen_pieces)
        at = np.round(eye / 50) * 50
        move = IDENTITY.copy()
        move[0, [3, 7]] = at[:2]
        # The plain below everything is one still surface, whichever square of it is drawn.
        self._one(cam, self.ground, move, move, 30_000_000_000, not self.seen_pieces)

    def _one(self, cam: Array, mesh: FrozenMesh, now: Array, before: Array, uid: int, fresh: bool) -> None:
        self._place(cam, mesh.verts, mesh.faces, np.array([[0, len(mesh)]]), now, before, np.zeros((1, 9)),
                    np.array([uid]), np.array([fresh]))  # fmt: skip

    def _gather(self, cast: Cast) -> tuple[Any, ...]:
        """Moving instances as flat arrays; each mesh is stored once."""
        starts: dict[int, int] = {}
        meshes: list[FrozenMesh] = []
        total = 0
        for item in cast.instances:
            if id(item.mesh) not in starts:
                starts[id(item.mesh)] = total
                meshes.append(item.mesh)
                total += len(item.mesh)
        spans = np.array([(starts[id(i.mesh)], starts[id(i.mesh)] + len(i.mesh)) for i in cast.instances])
        now = np.stack([i.matrix for i in cast.instances])
        uids = np.array([i.uid for i in cast.instances]) + 1_000_000
        before = np.stack([self.seen.get(i.uid, i.matrix) for i in cast.instances])
        fresh = np.array([i.uid not in self.seen for i in cast.instances])
        colours = np.array([np.ravel(i.colours) for i in cast.instances], np.float64)
        verts, faces = np.concatenate([m.verts for m in meshes]), np.concatenate([m.faces for m in meshes])
        return verts, faces, spans, now, before, colours, uids, fresh

    def _shadows(self, s: float, moving: tuple[Any, ...]) -> None:
        """Sun shadows: the still part is drawn again once per piece, movers are added every frame."""
        piece = int(s // CHUNK)
        per_metre = SHADOW_CELLS / SHADOW_SPAN
        if piece != self.shadow_piece:
            middle = self.path.point(piece * CHUNK + 38.0, 0.0)
            # Whole cells, so that shadows do not swim when the map moves.
            origin = np.round((self.basis[:2] @ middle - SHADOW_SPAN / 2) * per_metre) / per_metre
            self.env[shade.ENV["shadow_origin"] : shade.ENV["shadow_origin"] + 2] = origin
            self.env[shade.ENV["per_metre"]] = per_metre
            self.still_shadow[:] = -1e9
            for index in sorted(self.pieces):
                if piece - 2 <= index <= piece + 6:
                    mesh = self.pieces[index].mesh
                    still = mesh.verts, mesh.faces, np.array([[0, len(mesh)]]), IDENTITY
                    self._cast(*still, origin=origin, onto=self.still_shadow)
            self.shadow_piece = piece
        self.shadow[:] = self.still_shadow
        origin = self.env[shade.ENV["shadow_origin"] : shade.ENV["shadow_origin"] + 2]
        self._cast(*moving[:4], origin=origin, onto=self.shadow)

    def _cast(self, verts: Any, faces: Any, spans: Any, now: Any, *, origin: Array, onto: Any) -> None:
        kernels.cast(
            verts, faces, spans, now, self.basis, origin, SHADOW_CELLS / SHADOW_SPAN, self.textures, self.levels, onto,
            self.scratch,
        )  # fmt: skip

    def _contacts(self, s: float, cast: Cast) -> None:
        cells = CONTACT_CELLS / CONTACT_SPAN
        middle = self.path.point(s + 40.0, 0.0)[:2]
        origin = np.floor((middle - CONTACT_SPAN / 2) * cells) / cells
        self.env[shade.ENV["contact_origin"] : shade.ENV["contact_origin"] + 2] = origin
        self.env[shade.ENV["contact_cells"]] = cells
        rows = [p.contacts for p in self.pieces.values()]
        rows.append(np.array(cast.contacts, np.float64).reshape(-1, 6))
        self.contact[:] = 1.0
        kernels.stamp(np.concatenate(rows), origin, cells, self.contact)

    def frame(self, index: int, seconds: Fraction, *, first: bool) -> StreetFrame:
        h, w = self.size_hw
        time = float(seconds)
        cam, s = self._camera(time)
        self._stream(s)
        if first:
            self.cam_before = cam
        cast = self.traffic.at(time)
        moving = self._gather(cast)
        b = self.now
        b.count = 0
        self._place(cam, *moving)
        self._place_still(cam, s)
        self._shadows(s, moving)
        self._contacts(s, cast)
        kernels.draw(b.count, b.edge, b.geo, b.face, b.box, self.textures, self.levels, b.inverse, b.ids)
        rgb = np.empty((h, w, 3), np.uint8)
        self.env[shade.ENV["noise_seed"]] = float((self.seed * 7919 + index * 104729) % (1 << 31))
        truths = self._second.submit(self._truth, first=first)
        self._paint(rgb)
        labels, flow, occlusion = truths.result()
        self.seen = {i.uid: i.matrix for i in cast.instances}
        self.seen_pieces = set(self.pieces)
        self.cam_before = cam
        self.now, self.before = self.before, self.now
        self.drive.forget(time)
        return StreetFrame(index, seconds, rgb, CAMVID[labels], labels, flow, occlusion)

    def _paint(self, rgb: Rgb) -> None:
        b, m = self.now, self.mix
        jobs = shade.plan(b.ids, m.job, m.at, m.share, m.first, m.source, m.weight, np.empty(9, np.int64),
                          np.empty((3, 9)))  # fmt: skip
        shade.light(jobs, m.job, m.at, b.edge, b.geo, b.face, self.env, self.basis, self.shadow, self.contact,
                    self.textures, self.levels, self.cloud, self.line, m.colours, np.empty(4), np.empty(3))  # fmt: skip
        shade.develop(m.colours, m.share, m.first, m.source, m.weight, self.env, self.tone, np.empty(3), rgb)

    def _truth(self, *, first: bool) -> tuple[Labels, Flow, NDArray[np.bool_]]:
        h, w = self.size_hw
        now, old = self.now, self.before
        labels = np.empty((h, w), np.uint8)
        flow = np.zeros((h, w, 2), np.float32)
        inverse = np.empty((h, w))
        occlusion = np.ones((h, w), np.bool_)
        truth.labels_and_flow(
            now.ids, now.edge, now.past, now.face, self.env, self.cam_before, self.line, labels, flow, inverse
        )
        if first:
            flow[:] = 0
        else:
            truth.hidden(now.ids, now.uid, flow, inverse, old.ids, old.uid, old.count, old.edge, old.geo,
                         old.face, old.box, self.textures, self.levels, *self.questions, occlusion)  # fmt: skip
        return labels, flow, occlusion


def _ground() -> FrozenMesh:
    """A wide plain a little below the street, for what lies between and behind the houses."""
    mesh = Mesh()
    r = 420.0
    grass = Material(TEXTURED, "terrain", (0.9, 0.92, 0.9), textures.LAYER["grass"])
    mesh.quads([[(-r, -r, -0.25), (r, -r, -0.25), (r, r, -0.25), (-r, r, -0.25)]], grass,
               uv=[[(0, 0), (168, 0), (168, 168), (0, 168)]])  # fmt: skip
    return mesh.freeze()
