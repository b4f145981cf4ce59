"""Textures painted from seeded noise: (layers, texels of all levels x 4) uint8.

The fourth channel is the share of the surface that takes the face's own colour, or, on faces that are cut out,
opacity. Rows run down, so that texture coordinate v = 0 is the bottom row. All tile.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
N = 256

NAMES = (
    "asphalt", "patches", "paving", "brick", "plaster", "stone", "concrete", "tiles", "slate", "grass", "bark",
    "leaves", "leaves2", "twigs", "hedge", "railing", "planks", "gardenwall", "sash", "sash2", "modern", "office",
    "georgian", "shutters", "shop", "shop2", "shop3", "houses", "houses2", "signs", "boards", "livery",
)  # fmt: skip
LAYER = {name: i for i, name in enumerate(NAMES)}


def noise(rng: np.random.Generator, cells: int, *, octaves: int = 4, fall: float = 0.55, size: int = N) -> Image:
    """Tiling value noise around 0, about -1..1."""
    total = np.zeros((size, size), np.float32)
    gain = 1.0
    for _ in range(octaves):
        if cells > size:
            break
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        wide = np.pad(grid, 2, mode="wrap")
        step = size // cells
        big = cv2.resize(wide, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += gain * big[2 * step : 2 * step + size, 2 * step : 2 * step + size]
        cells, gain = cells * 2, gain * fall
    return total / max(float(total.std()), 1e-6) * 0.5


def _flat(rgb: Any, mask: float = 255) -> Image:
    image = np.empty((N, N, 4), np.float32)
    image[..., :3] = rgb
    image[..., 3] = mask
    return image


def _grain(rng: np.random.Generator, base: float, *, fine: float, coarse: float, mask: float = 255) -> Image:
    image = _flat((base, base, base), mask)
    image[..., :3] += (fine * noise(rng, 64, octaves=3) + coarse * noise(rng, 4, octaves=4))[..., None]
    return image


def _asphalt(rng: np.random.Generator) -> Image:
    image = _grain(rng, 122, fine=5, coarse=3.5)
    speck = rng.random((N, N)) < 0.02
    image[speck, :3] += 16
    return image


def _patches(rng: np.random.Generator) -> Image:
    """Wear of a whole street: red = tone, green = how worn the paint is; cracks and filled trenches."""
    image = _flat((128, 128, 128))
    image[..., 0] += 15 * noise(rng, 4, octaves=5)
    image[..., 1] += 70 * noise(rng, 16, octaves=4)
    for _ in range(7):
        x, y, w, h = (int(v) for v in (*rng.integers(0, N, 2), rng.integers(6, 24), rng.integers(8, 70)))
        cv2.rectangle(image, (x, y), (x + w, y + h), _tone(image[y, x], rng.uniform(-20, 14)), -1)
    for _ in range(5):
        points = np.cumsum(rng.normal(0, 5, (30, 2)), axis=0) + rng.integers(0, N, 2)
        cv2.polylines(image, [points.astype(np.int32)], False, (88, 128, 128, 255), 1, cv2.LINE_AA)
    return image


def _tone(value: Any, change: float) -> tuple[float, ...]:
    return (float(value[0] + change), float(value[1]), float(value[2]), 255.0)


def _courses(
    rng: np.random.Generator, rows: int, columns: int, *, base: float, spread: float, joint: float, gap: int,
    offset: bool = True, grain: float = 6,
) -> Image:  # fmt: skip
    """Bricks, slabs or tiles in rows."""
    image = _flat((joint, joint, joint))
    h, w = N // rows, N // columns
    for r in range(rows):
        shift = (w // 2 if r % 2 else 0) if offset else 0
        for c in range(columns):
            tone = base + spread * rng.standard_normal()
            warm = rng.normal(0, spread * 0.25)
            x0, y0 = c * w + shift, r * h
            colour = (tone + warm, tone, tone - warm, 255)
            for o in (0, -N):
                cv2.rectangle(image, (x0 + o, y0), (x0 + o + w - 1 - gap, y0 + h - 1 - gap), colour, -1)
    image[..., :3] += (grain * noise(rng, 64, octaves=2) + grain * noise(rng, 4))[..., None]
    return image


def _tiles(rng: np.random.Generator, *, base: float) -> Image:
    image = _courses(rng, 16, 16, base=base, spread=13, joint=base - 60, gap=2)
    image[..., :3] *= (0.8 + 0.3 * ((np.arange(N) % 16) / 15.0))[:, None, None]
    return image


def _grass(rng: np.random.Generator) -> Image:
    image = _flat((104, 122, 62), 0)
    image[..., :3] += 13 * noise(rng, 64, octaves=3)[..., None] + 9 * noise(rng, 4)[..., None]
    image[..., 0] += 10 * noise(rng, 8)
    return image


def _bark(rng: np.random.Generator) -> Image:
    image = _flat((112, 98, 84), 0)
    image[..., :3] += 26 * cv2.resize(noise(rng, 64, octaves=2), (N, N * 4))[:N][..., None]
    return image


def _leaves(rng: np.random.Generator, *, count: int, radius: float, length: float) -> Image:
    """A tuft of leaves: dense in the middle, single leaves at the rim."""
    image = _flat((86, 104, 48), 0)
    for i in range(count):
        a, r = rng.uniform(0, 2 * np.pi), radius * np.sqrt(rng.random()) * (0.75 + 0.25 * np.cos(3 * i))
        x, y = N / 2 + r * np.cos(a), N / 2 + r * np.sin(a)
        tone = rng.normal(0, 15) + 30 * i / count - 18
        colour = (118 + tone + rng.normal(0, 7), 138 + tone, 66 + tone * 0.5, 255)
        axes = (int(length * rng.uniform(0.7, 1.2)), int(length * 0.5))
        cv2.ellipse(image, (int(x), int(y)), axes, float(rng.uniform(0, 360)), 0, 360, colour, -1)
    image[..., :3] += 6 * noise(rng, 32)[..., None]
    return image


def _twigs(rng: np.random.Generator) -> Image:
    image = _flat((96, 84, 72), 0)

    def grow(x: float, y: float, angle: float, length: float, width: int, depth: int) -> None:
        ex, ey = x + length * np.cos(angle), y - length * np.sin(angle)
        tone = rng.normal(0, 8)
        cv2.line(image, (int(x), int(y)), (int(ex), int(ey)), (96 + tone, 84 + tone, 72 + tone, 255), width)
        if depth:
            for _ in range(int(rng.integers(2, 4))):
                k = rng.uniform(0.35, 1.0)
                grow(x + k * (ex - x), y + k * (ey - y), angle + rng.normal(0, 0.6), length * 0.72, max(width - 1, 2),
                     depth - 1)  # fmt: skip

    for a in np.linspace(0, 2 * np.pi, 9)[:-1]:
        grow(N / 2, N / 2, float(a + rng.normal(0, 0.3)), 44, 5, 4)
    return image


def _hedge(rng: np.random.Generator) -> Image:
    image = _flat((64, 84, 38), 0)
    for i in range(900):
        x, y = rng.integers(0, N, 2)
        tone = rng.normal(0, 18) + 14 * i / 900
        colour = (92 + tone, 118 + tone, 54 + tone * 0.6, 0)
        for ox in (-N, 0, N):
            cv2.ellipse(image, (int(x) + ox, int(y)), (9, 5), float(rng.uniform(0, 360)), 0, 360, colour, -1)
    return image


def _railing(_: np.random.Generator) -> Image:
    """Bars, two rails: two metres by one metre of fence."""
    image = _flat((90, 92, 96), 0)
    for x in range(6, N, 16):
        cv2.line(image, (x, 8), (x, N), (92, 94, 98, 255), 5)
    for y in (22, 232):
        cv2.line(image, (0, y), (N, y), (104, 106, 110, 255), 12)
    return image


def _planks(rng: np.random.Generator) -> Image:
    image = _flat((150, 120, 90))
    for x in range(0, N, 32):
        tone = rng.normal(0, 10)
        image[:, x : x + 30, :3] += tone
        image[:, x + 30 : x + 32, :3] = 50
    image[..., :3] += 14 * cv2.resize(noise(rng, 32, octaves=2), (N, N * 8))[:N][..., None]
    image[40:56, :, :3] -= 14
    image[200:216, :, :3] -= 14
    return image


def _pane(image: Image, x0: int, y0: int, x1: int, y1: int, rng: np.random.Generator) -> None:
    """Glass: dark inside, brighter towards the top, sometimes a curtain, blind or lit room."""
    ramp = np.linspace(1.0, 0.0, max(y1 - y0, 1))[:, None]
    base = np.array([62, 70, 80]) + rng.normal(0, 9) + ramp[..., None] * np.array([48, 56, 66])
    image[y0:y1, x0:x1, :3] = base
    kind = rng.random()
    w = x1 - x0
    if kind < 0.3:
        c = np.array([200, 194, 182]) + rng.normal(0, 14)
        image[y0:y1, x0 : x0 + w // 4, :3] = c * 0.82
        image[y0:y1, x1 - w // 4 : x1, :3] = c * 0.82
    elif kind < 0.5:
        image[y0 : y0 + int((y1 - y0) * rng.uniform(0.2, 0.7)), x0:x1, :3] = (186, 182, 170)
    image[y0 : y0 + 3, x0:x1, :3] *= 0.55
    image[y0:y1, x0 : x0 + 2, :3] *= 0.7
    image[y0:y1, x0:x1, 3] = 0


def _frame(image: Image, box: tuple[int, int, int, int], colour: Any, width: int) -> None:
    x0, y0, x1, y1 = box
    cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), (*[float(c) for c in colour], 0.0), width)


def _window(
    image: Image, box: tuple[int, int, int, int], rng: np.random.Generator, *, bars: tuple[int, int], frame: Any,
    sill: bool = True, lintel: Any = None,
) -> None:  # fmt: skip
    x0, y0, x1, y1 = box
    if lintel is not None:
        image[y0 - 12 : y0, x0 - 6 : x1 + 6, :3] = lintel
        image[y0 - 12 : y0, x0 - 6 : x1 + 6, 3] = 60
    _pane(image, x0, y0, x1, y1, rng)
    _frame(image, box, frame, 4)
    for k in range(1, bars[0]):
        x = x0 + (x1 - x0) * k // bars[0]
        image[y0:y1, x - 1 : x + 2, :3] = frame
    for k in range(1, bars[1]):
        y = y0 + (y1 - y0) * k // bars[1]
        image[y - 1 : y + 2, x0:x1, :3] = frame
    if sill:
        image[y1 : y1 + 6, x0 - 6 : x1 + 6, :3] = (196, 192, 184)
        image[y1 : y1 + 6, x0 - 6 : x1 + 6, 3] = 0
        image[y1 + 6 : y1 + 12, x0 - 6 : x1 + 6, :3] *= 0.72
    shade = image[y0 - 2 : y0, x0:x1, :3]
    shade *= 0.8


def _bays(wall: Image, rng: np.random.Generator, **window: Any) -> Image:
    """Two bays by two storeys, one window each; `size` is (width, height) of 128."""
    image = wall.copy()
    w, h = window.pop("size")
    for row in range(2):
        for column in range(2):
            x, y = column * 128 + (128 - w) // 2, row * 128 + 26
            _window(image, (x, y, x + w, y + h), rng, **window)
    return image


def _office(rng: np.random.Generator) -> Image:
    image = _courses(rng, 2, 2, base=206, spread=3, joint=150, gap=2, offset=False, grain=3)
    for row in range(2):
        y = row * 128 + 22
        for column in range(4):
            _window(image, (column * 64 + 2, y, column * 64 + 62, y + 74), rng, bars=(1, 2), frame=(88, 92, 98),
                    sill=False)  # fmt: skip
    return image


def _modern(rng: np.random.Generator) -> Image:
    image = _grain(rng, 224, fine=3, coarse=4)
    for row in range(2):
        for column in range(2):
            x, y = column * 128, row * 128 + 18
            wide = (row + column) % 2 == 0
            _window(image, (x + (14 if wide else 40), y, x + (104 if wide else 96), y + 92), rng,
                    bars=(2 if wide else 1, 1), frame=(72, 74, 80))  # fmt: skip
    image[124:130, :, :3] *= 0.86
    image[250:256, :, :3] *= 0.86
    return image


def _shutters(rng: np.random.Generator) -> Image:
    image = _grain(rng, 222, fine=4, coarse=6)
    colour = np.array([(84, 104, 88), (70, 84, 112), (122, 76, 62)][int(rng.integers(3))])
    for row in range(2):
        for column in range(2):
            x, y = column * 128 + 42, row * 128 + 28
            _window(image, (x, y, x + 46, y + 76), rng, bars=(2, 3), frame=(220, 218, 210))
            for x0 in (x - 24, x + 48):
                image[y : y + 76, x0 : x0 + 22, :3] = colour
                image[y : y + 76 : 6, x0 : x0 + 22, :3] *= 0.7
                image[y : y + 76, x0 : x0 + 22, 3] = 0
    return image


def _shop(rng: np.random.Generator, *, dark: bool) -> Image:
    """A shop front four metres wide: stall riser, display windows, a door."""
    colour = np.array([46, 54, 62]) if dark else np.array([214, 210, 200])
    image = _flat(colour, 120)
    image[..., :3] += 3 * noise(rng, 32)[..., None]
    for x0, x1 in ((10, 96), (104, 164)):
        _pane(image, x0, 30, x1, 206, rng)
        for _ in range(7):
            x, w = int(rng.integers(x0 + 4, x1 - 14)), int(rng.integers(6, 18))
            y = int(rng.integers(120, 190))
            hue = rng.integers(50, 220, 3)
            image[y:204, x : min(x + w, x1 - 4), :3] = hue * 0.8
        image[34:46, x0 + 4 : x1 - 4, :3] = rng.uniform(150, 240, 3)
    _pane(image, 176, 30, 240, 244, rng)
    image[140:150, 176:184, :3] = 190
    for box in ((10, 30, 96, 206), (104, 30, 164, 206), (176, 30, 240, 246)):
        _frame(image, box, colour * 0.8 + 10, 4)
    image[246:, :, :3] *= 0.7
    return image


def _houses(rng: np.random.Generator, wall: Image) -> Image:
    """Ground floor of a house, four metres wide: a window and a door."""
    image = wall.copy()
    _window(image, (24, 60, 124, 170), rng, bars=(3, 2), frame=(226, 224, 218), lintel=(190, 184, 172))
    door = np.array([(120, 36, 34), (36, 58, 92), (34, 74, 54), (60, 56, 54), (150, 130, 90)][int(rng.integers(5))])
    image[58:250, 162:226, :3] = (206, 202, 194)
    image[58:250, 162:226, 3] = 0
    image[92:250, 168:220, :3] = door
    for y in (104, 168):
        for x in (174, 198):
            cv2.rectangle(image, (x, y), (x + 16, y + 50), tuple(float(c) for c in (*(door * 0.75), 0)), 2)
    _pane(image, 168, 64, 220, 86, rng)
    image[250:, :, :3] *= 0.8
    return image


def _signs(_: np.random.Generator) -> Image:
    """Four by four faces: speed limits, warnings, no entry, parking, directions."""
    image = np.zeros((N, N, 4), np.uint8)
    red, blue, white, black = (196, 30, 34), (30, 76, 160), (236, 236, 236), (30, 30, 32)
    for i in range(16):
        x, y = (i % 4) * 64, (i // 4) * 64
        cell = image[y : y + 64, x : x + 64]
        kind = i % 8
        if kind in (0, 1):
            cell[..., :3] = red
            cv2.circle(cell, (32, 32), 23, (*white, 0), -1)
            cv2.putText(cell, "30" if kind == 0 else "20", (17, 41), cv2.FONT_HERSHEY_SIMPLEX, 0.85, (*black, 0), 3)
        elif kind == 2:
            cell[..., :3] = red
            cell[26:38, 10:54, :3] = white
        elif kind == 3:
            cell[..., :3] = blue
            cv2.arrowedLine(cell, (32, 52), (32, 12), (*white, 0), 6, tipLength=0.4)
        elif kind == 4:
            cell[..., :3] = red
            cv2.fillPoly(cell, [np.array([(32, 17), (52, 52), (12, 52)])], (*white, 0))
            cv2.line(cell, (32, 30), (32, 42), (*black, 0), 4)
            cv2.circle(cell, (32, 47), 2, (*black, 0), -1)
        elif kind == 5:
            cell[..., :3] = blue
            cv2.putText(cell, "P", (14, 52), cv2.FONT_HERSHEY_SIMPLEX, 1.7, (*white, 0), 6)
        elif kind == 6:
            cell[..., :3] = (24, 96, 62)
            for k in (14, 30, 46):
                cv2.line(cell, (10, k), (50 - k // 3, k), (*white, 0), 5)
        else:
            cell[..., :3] = blue
            cv2.circle(cell, (32, 32), 29, (*red, 0), 5)
            cv2.line(cell, (12, 12), (52, 52), (*red, 0), 5)
    return image.astype(np.float32)


def _boards(rng: np.random.Generator) -> Image:
    """Eight shop boards, 256 x 32 each, with words that say nothing."""
    image = np.zeros((N, N, 4), np.uint8)
    for i in range(8):
        colour = rng.integers(20, 220, 3)
        text = (245, 240, 225) if colour.mean() < 130 else (40, 36, 40)
        band = image[i * 32 : i * 32 + 32]
        band[..., :3] = colour
        word = "".join(rng.choice(list("AEIOUNRSTLMKD"), int(rng.integers(5, 10))))
        cv2.putText(band, word, (int(rng.integers(16, 60)), 25), cv2.FONT_HERSHEY_DUPLEX, 0.85,
                    tuple(float(c) for c in (*text, 0)), 2)  # fmt: skip
    return image.astype(np.float32)


def _livery(rng: np.random.Generator) -> Image:
    """The side of a bus: a band of windows over a coloured body (4 m by 3 m)."""
    image = _flat((225, 225, 225))
    for x in range(0, N, 86):
        _pane(image, x + 4, 66, min(x + 82, N), 150, rng)
    image[176:188, :, :3] = (240, 240, 240)
    image[176:188, :, 3] = 0
    image[232:, :, :3] *= 0.4
    return image


def _layers(rng: np.random.Generator) -> dict[str, Image]:
    brick = _courses(rng, 32, 12, base=196, spread=15, joint=206, gap=1)
    plaster = _grain(rng, 224, fine=4, coarse=7)
    stone = _courses(rng, 8, 5, base=206, spread=9, joint=176, gap=1)
    white = (232, 230, 224)
    return {
        "asphalt": _asphalt(rng),
        "patches": _patches(rng),
        "paving": _courses(rng, 4, 4, base=196, spread=5, joint=158, gap=2, grain=5),
        "brick": brick,
        "plaster": plaster,
        "stone": stone,
        "concrete": _courses(rng, 2, 2, base=200, spread=5, joint=150, gap=2, offset=False),
        "tiles": _tiles(rng, base=190),
        "slate": _tiles(rng, base=160),
        "grass": _grass(rng),
        "bark": _bark(rng),
        "leaves": _leaves(rng, count=330, radius=108, length=17),
        "leaves2": _leaves(rng, count=650, radius=112, length=11),
        "twigs": _twigs(rng),
        "hedge": _hedge(rng),
        "railing": _railing(rng),
        "planks": _planks(rng),
        "gardenwall": _courses(rng, 16, 6, base=196, spread=14, joint=200, gap=2),
        "sash": _bays(brick, rng, size=(52, 82), bars=(2, 2), frame=white, lintel=(214, 208, 196)),
        "sash2": _bays(plaster, rng, size=(56, 78), bars=(2, 4), frame=white, lintel=(236, 232, 226)),
        "modern": _modern(rng),
        "office": _office(rng),
        "georgian": _bays(stone, rng, size=(46, 86), bars=(2, 4), frame=white, lintel=(226, 220, 208)),
        "shutters": _shutters(rng),
        "shop": _shop(rng, dark=False),
        "shop2": _shop(rng, dark=True),
        "shop3": _shop(rng, dark=bool(rng.random() < 0.5)),
        "houses": _houses(rng, cv2.resize(np.tile(brick, (2, 1, 1))[:N], (N, N))),
        "houses2": _houses(rng, plaster),
        "signs": _signs(rng),
        "boards": _boards(rng),
        "livery": _livery(rng),
    }


def paint(rng: np.random.Generator) -> NDArray[np.uint8]:
    """All layers with all their levels, see `kernels.LEVELS`."""
    layers = _layers(rng)
    packed = []
    for name in NAMES:
        image = np.clip(layers[name], 0, 255).astype(np.float32)
        cutout = name in ("leaves", "leaves2", "twigs", "railing")
        share = float((image[..., 3] > 127).mean())
        levels = []
        for k in range(9):
            size = N >> k
            if k:
                image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
            small = image.copy()
            if cutout and k:
                # The opaque share stays the same at every level, or far leaves and bars would vanish.
                cut = float(np.quantile(small[..., 3], 1 - share)) if size > 2 else 100.0
                small[..., 3] = np.clip(small[..., 3] + 128 - max(cut, 1.0), 0, 255)
            levels.append((small + 0.5).astype(np.uint8).ravel())
        packed.append(np.concatenate(levels))
    return np.stack(packed)


def clouds(rng: np.random.Generator, *, size: int = 512) -> NDArray[np.float32]:
    """Tiling cloud density, 0..1."""
    field = noise(rng, 4, octaves=7, fall=0.52, size=size)
    return np.clip(0.5 + 0.42 * field, 0, 1).astype(np.float32)


def skyline(rng: np.random.Generator, *, size: int = 2048) -> NDArray[np.float32]:
    """Rows: tangent of the elevation; Cityscapes train id (building or vegetation)."""
    line = np.zeros((2, size), np.float32)
    wave = noise(rng, 4, octaves=7, fall=0.6, size=size)[0]
    line[0] = 0.022 + 0.008 * wave + 0.004 * np.abs(noise(rng, 256, octaves=2, size=size)[1])
    line[1] = 8
    at = 0
    while at < size:
        width = int(rng.integers(10, 46))
        if rng.random() < 0.55:
            line[0, at : at + width] = rng.uniform(0.018, 0.05)
            line[1, at : at + width] = 2
        at += width
    line[0] = np.clip(line[0], 0.006, 0.1)
    return line
