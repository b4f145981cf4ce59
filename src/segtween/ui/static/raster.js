// Painting into a label image {width, height, data}: train ids, one byte a pixel, row by row; 255 is unknown.
// Points are [x, y], pixel centres lie on integers. A box is {x, y, width, height}; null is an empty one.

export const UNKNOWN = 255;

export function labelImage(width, height, data) {
  return { width, height, data: data || new Uint8Array(width * height).fill(UNKNOWN) };
}

/** The pixels within half of `size` of the line from one point to another get `value`. Returns the box they lie in. */
export function paintStroke(image, from, to, size, value) {
  const radius = Math.max(0.5, size / 2), [fx, fy] = from, dx = to[0] - fx, dy = to[1] - fy;
  const length = dx * dx + dy * dy, near = radius * radius;
  const box = clipped(image, Math.min(fx, to[0]) - radius, Math.min(fy, to[1]) - radius,
    Math.max(fx, to[0]) + radius, Math.max(fy, to[1]) + radius);
  if (!box) return null;
  for (let y = box.y; y < box.y + box.height; y++) {
    for (let x = box.x; x < box.x + box.width; x++) {
      const along = length ? Math.max(0, Math.min(1, ((x - fx) * dx + (y - fy) * dy) / length)) : 0;
      const ex = x - fx - along * dx, ey = y - fy - along * dy;
      if (ex * ex + ey * ey <= near) image.data[y * image.width + x] = value;
    }
  }
  return box;
}

/** The pixels inside a closed polygon (even-odd) and those on its edges get `value`. Returns the box they lie in. */
export function paintPolygon(image, corners, value) {
  const xs = corners.map((corner) => corner[0]), ys = corners.map((corner) => corner[1]);
  const box = clipped(image, Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
  if (!box) return null;
  for (let y = box.y; y < box.y + box.height; y++) {
    const cuts = crossings(corners, y);
    for (let i = 0; i + 1 < cuts.length; i += 2) {
      const first = Math.max(box.x, Math.ceil(cuts[i]));
      const last = Math.min(box.x + box.width - 1, Math.floor(cuts[i + 1]));
      if (first <= last) image.data.fill(value, y * image.width + first, y * image.width + last + 1);
    }
  }
  corners.forEach((corner, i) => paintStroke(image, corner, corners[(i + 1) % corners.length], 1, value));
  return box;
}

function crossings(corners, y) {
  const cuts = [];
  corners.forEach(([x, top], i) => {
    const [nx, bottom] = corners[(i + 1) % corners.length];
    if ((top <= y) !== (bottom <= y)) cuts.push(x + ((y - top) / (bottom - top)) * (nx - x));
  });
  return cuts.sort((a, b) => a - b);
}

/** The connected pixels of one label around a point get `value`. Returns the box they lie in. */
export function paintRegion(image, [px, py], value) {
  const { width, height, data } = image, start = data[py * width + px], rows = [[px, py]];
  if (start === value) return null;
  let left = px, right = px, top = py, bottom = py;
  while (rows.length) {
    const [x, y] = rows.pop(), row = y * width;
    if (data[row + x] !== start) continue;
    let first = x, last = x;
    while (first > 0 && data[row + first - 1] === start) first--;
    while (last + 1 < width && data[row + last + 1] === start) last++;
    data.fill(value, row + first, row + last + 1);
    left = Math.min(left, first); right = Math.max(right, last); top = Math.min(top, y); bottom = Math.max(bottom, y);
    for (const next of [y - 1, y + 1]) {
      if (next < 0 || next >= height) continue;
      for (let at = first; at <= last; at++) {
        const here = next * width + at;
        if (data[here] === start && (at === first || data[here - 1] !== start)) rows.push([at, next]);
      }
    }
  }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/** The box around both. */
export function union(one, other) {
  if (!one || !other) return one || other;
  const x = Math.min(one.x, other.x), y = Math.min(one.y, other.y);
  return {
    x, y, width: Math.max(one.x + one.width, other.x + other.width) - x,
    height: Math.max(one.y + one.height, other.y + other.height) - y,
  };
}

/** What a box of the image holds, row by row. */
export function cut(image, data, box) {
  const values = new Uint8Array(box.width * box.height);
  for (let y = 0; y < box.height; y++) {
    const start = (box.y + y) * image.width + box.x;
    values.set(data.subarray(start, start + box.width), y * box.width);
  }
  return values;
}

/** Puts back what `cut` has taken. */
export function paste(image, values, box) {
  for (let y = 0; y < box.height; y++) {
    image.data.set(values.subarray(y * box.width, (y + 1) * box.width), (box.y + y) * image.width + box.x);
  }
}

/** RGBA of a box of labels; unknown pixels are transparent. `colours` is [red, green, blue] of each class. */
export function tint(labels, colours) {
  const table = new Uint8ClampedArray(256 * 4);
  colours.forEach((colour, i) => table.set([...colour, 255], 4 * i));
  const words = new Uint32Array(table.buffer), rgba = new Uint32Array(labels.length);
  for (let i = 0; i < labels.length; i++) rgba[i] = words[labels[i]];
  return new Uint8ClampedArray(rgba.buffer);
}

function clipped(image, left, top, right, bottom) {
  const x = Math.max(0, Math.ceil(left)), y = Math.max(0, Math.ceil(top));
  const width = Math.min(image.width - 1, Math.floor(right)) - x + 1;
  const height = Math.min(image.height - 1, Math.floor(bottom)) - y + 1;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}
