"""Deterministic weights, inputs and labels for the golden vectors.

NumPy only.  Nothing here is stored: every weight and every input of the golden
cases is regenerated from the integers in index.json.  All arithmetic is
element-wise float64 (no matrix products), so results do not depend on the
linear-algebra library; sums are only ever of two terms.
"""

import hashlib
import zlib

import numpy as np

# Buffers that hold constants of the method rather than learned values.
IMG_MEAN_RGB = (73.15, 82.90, 72.3)  # of 0..255
IMG_STD_RGB = (47.67, 48.49, 47.73)
IMG_MEAN_BGR = IMG_MEAN_RGB[::-1]
IMG_STD_BGR = IMG_STD_RGB[::-1]
IMAGENET_MEAN_BGR = (0.406, 0.456, 0.485)  # of 0..1
IMAGENET_STD_BGR = (0.225, 0.224, 0.229)


def fill_array(key, shape, seed):
    """The value of one state-dict entry, from its full key, shape and seed."""
    shape = tuple(int(s) for s in shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "img_mean":
        return np.array(IMG_MEAN_RGB, np.float32).reshape(shape)
    if leaf == "img_std":
        return np.array(IMG_STD_RGB, np.float32).reshape(shape)
    rng = np.random.default_rng([seed, zlib.crc32(key.encode("utf-8"))])
    if leaf == "weight" and len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))  # also for transposed convolutions
        out = rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    elif leaf == "weight" or leaf == "running_var":
        out = rng.uniform(0.5, 1.5, shape)
    else:  # bias, running_mean, anything else
        out = rng.standard_normal(shape) * 0.1
    return np.asarray(out, np.float32)


def fill_state_dict(shapes, seed):
    """{key: shape} -> {key: array}; each key has its own random stream."""
    return {k: fill_array(k, shapes[k], seed) for k in sorted(shapes)}


def _resize_linear(a, n, axis):
    """Linear interpolation along one axis, first and last samples kept in place."""
    m = a.shape[axis]
    if m == 1 or n == 1:
        return np.repeat(np.take(a, [0], axis), n, axis)
    pos = np.arange(n, dtype=np.float64) * (m - 1) / (n - 1)
    lo = np.minimum(np.floor(pos).astype(np.int64), m - 2)
    w = pos - lo
    w = w.reshape([-1 if i == axis % a.ndim else 1 for i in range(a.ndim)])
    return np.take(a, lo, axis) * (1.0 - w) + np.take(a, lo + 1, axis) * w


def smooth_noise(rng, lead, h, w, cell, gaussian):
    """Low-resolution noise of shape lead+(h/cell+2, w/cell+2), upsampled linearly."""
    lh, lw = h // cell + 2, w // cell + 2
    z = rng.standard_normal((*lead, lh, lw)) if gaussian else rng.random((*lead, lh, lw))
    return _resize_linear(_resize_linear(z, h, -2), w, -1)


def _images(rng, n, h, w):
    """n smooth uint8 RGB images (n, h, w, 3): three octaves of uniform noise."""
    x = smooth_noise(rng, (n, 3), h, w, 32, False) * 0.55
    x = x + smooth_noise(rng, (n, 3), h, w, 8, False) * 0.30
    x = x + smooth_noise(rng, (n, 3), h, w, 2, False) * 0.15
    return np.floor(np.moveaxis(x, 1, -1) * 255.0 + 0.5).astype(np.uint8)


def fill_input(shape, seed, kind):
    """Inputs from a seed.

    'image'  (N, H, W, 3) uint8 RGB, independent smooth images
    'clip'   (T, H, W, 3) uint8 RGB, windows of one smooth image that move
             4 pixels right and 2 pixels down from each frame to the next
    'smooth' any (..., H, W), float32, smooth standard-normal noise of cell 8,
             times 3: used for logits
    'flow'   (N, 2, H, W) float32, smooth standard-normal noise of cell 16,
             times 12: used for motion fields
    'noise'  any shape, float32, independent standard-normal values
    """
    shape = tuple(int(s) for s in shape)
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode("utf-8"))])
    if kind == "image":
        n, h, w, _ = shape
        return _images(rng, n, h, w)
    if kind == "clip":
        t, h, w, _ = shape
        big = _images(rng, 1, h + 2 * (t - 1), w + 4 * (t - 1))[0]
        return np.stack([big[2 * i : 2 * i + h, 4 * i : 4 * i + w] for i in range(t)])
    if kind == "smooth":
        return (smooth_noise(rng, shape[:-2], shape[-2], shape[-1], 8, True) * 3.0).astype(np.float32)
    if kind == "flow":
        return (smooth_noise(rng, shape[:-2], shape[-2], shape[-1], 16, True) * 12.0).astype(np.float32)
    if kind == "noise":
        return rng.standard_normal(shape).astype(np.float32)
    raise ValueError(kind)


def fill_labels(shape, seed, num_classes, absent=(), ignore=250, p_ignore=0.1, p_correct=0.7):
    """A (ground truth, prediction) pair of int64 label maps.

    Classes in `absent` occur in neither map; ground truth is `ignore` with
    probability p_ignore; elsewhere the prediction is right with probability
    about p_correct.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"labels")])
    present = np.array([c for c in range(num_classes) if c not in set(absent)], np.int64)
    gt = present[rng.integers(0, len(present), shape)]
    other = present[rng.integers(0, len(present), shape)]
    pred = np.where(rng.random(shape) < p_correct, gt, other)
    gt = np.where(rng.random(shape) < p_ignore, ignore, gt)
    return gt.astype(np.int64), pred.astype(np.int64)


def normalise(images_u8, mean, std, bgr=False, unit=False):
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32, (x - mean) / std per channel.

    bgr reverses the channels first (mean and std are then given in B, G, R
    order); unit divides by 255 before subtracting.
    """
    x = images_u8[..., ::-1] if bgr else images_u8
    x = np.moveaxis(x, -1, 1).astype(np.float32)
    if unit:
        x = x / np.float32(255)
    m = np.array(mean, np.float32).reshape(1, 3, 1, 1)
    s = np.array(std, np.float32).reshape(1, 3, 1, 1)
    return np.ascontiguousarray((x - m) / s)


def sha256(*arrays):
    """Hash of the bytes of C-ordered arrays, to check a regeneration."""
    h = hashlib.sha256()
    for a in arrays:
        h.update(np.ascontiguousarray(a).tobytes())
    return h.hexdigest()


def sha256_state(state):
    return sha256(*[state[k] for k in sorted(state)])


def pick(array, start_step_total):
    """The recorded sample of a full array: every step-th value of its C-order
    flattening from start (step 1: all of it)."""
    start, step, total = (int(v) for v in start_step_total)
    flat = np.asarray(array).reshape(-1)
    if flat.size != total:
        raise ValueError(f"expected {total} values, got {flat.size}")
    return flat[start::step]
