// A picture and its tinted labels on a canvas that is zoomed and moved. Points are [x, y] in pixels of the picture,
// whose centres lie on integers; what is on the screen is in CSS pixels.

const MOST_ZOOM = 40, MOST_SMOOTHED = 4;

export class CanvasView {
  constructor(canvas) {
    this.canvas = canvas;
    this.layers = [];
    this.marks = () => {};
    this.width = this.height = 1;
    this.scale = this.left = this.top = 0;
    this._asked = false;
    this._observer = new ResizeObserver(() => this._resized());
    this._observer.observe(canvas);
  }

  close() {
    this._observer.disconnect();
  }

  /** Layers are {image, alpha}, of one size, with the columns `from` and `to` that are drawn, if not all. The first is
   * smoothed, until its pixels are to be seen. */
  show(width, height, layers) {
    const other = width !== this.width || height !== this.height || !this.scale;
    Object.assign(this, { width, height, layers });
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    if (other) this.fit(); else this.draw();
  }

  get fitting() {
    return Math.min(this.canvas.clientWidth / this.width, this.canvas.clientHeight / this.height) || 1;
  }

  get zoom() {
    return this.scale / this.fitting;
  }

  fit() {
    this.scale = this.fitting;
    this._place();
  }

  /** Enlarges by a factor, with the point of the screen staying where it is; null: the middle. */
  zoomBy(factor, at = null) {
    const [sx, sy] = at || [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    const px = (sx - this.left) / this.scale, py = (sy - this.top) / this.scale, least = this.fitting;
    this.scale = Math.max(least, Math.min(Math.max(MOST_ZOOM, least), this.scale * factor));
    this.left = sx - px * this.scale;
    this.top = sy - py * this.scale;
    this._place();
  }

  moveBy(dx, dy) {
    this.left += dx;
    this.top += dy;
    this._place();
  }

  /** Moves as little as brings the point into sight. */
  reveal([x, y]) {
    const margin = 24, sx = this.left + (x + 0.5) * this.scale, sy = this.top + (y + 0.5) * this.scale;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.moveBy(Math.max(0, margin - sx) - Math.max(0, sx - width + margin),
      Math.max(0, margin - sy) - Math.max(0, sy - height + margin));
  }

  /** The pixel at a place of the screen, which may lie outside the picture. */
  pixelAt(sx, sy) {
    return [Math.floor((sx - this.left) / this.scale), Math.floor((sy - this.top) / this.scale)];
  }

  placeOf([x, y]) {
    return [this.left + (x + 0.5) * this.scale, this.top + (y + 0.5) * this.scale];
  }

  draw() {
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => { this._asked = false; this._draw(); });
  }

  _draw() {
    const { canvas, width, height } = this, context = canvas.getContext("2d"), dense = devicePixelRatio || 1;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.layers.forEach(({ image, alpha, from = 0, to = width }, i) => {
      if (from >= to) return;
      context.imageSmoothingEnabled = i === 0 && this.scale < MOST_SMOOTHED;
      context.globalAlpha = alpha;
      context.drawImage(image, from, 0, to - from, height, this.left + from * this.scale, this.top,
        (to - from) * this.scale, height * this.scale);
    });
    context.globalAlpha = 1;
    this.marks(context);
  }

  /** Keeps the picture over the canvas; what is smaller than it stays in the middle. */
  _place() {
    const place = (start, drawn, room) =>
      (drawn <= room ? (room - drawn) / 2 : Math.min(0, Math.max(room - drawn, start)));
    this.left = place(this.left, this.width * this.scale, this.canvas.clientWidth);
    this.top = place(this.top, this.height * this.scale, this.canvas.clientHeight);
    this.draw();
  }

  _resized() {
    const { canvas } = this, dense = devicePixelRatio || 1;
    if (!canvas.clientWidth) return;
    const zoom = this._fitted ? this.scale / this._fitted : 1;
    canvas.width = Math.round(canvas.clientWidth * dense);
    canvas.height = Math.round(canvas.clientHeight * dense);
    this._fitted = this.fitting;
    this.scale = this._fitted * Math.max(1, zoom);
    this._place();
  }
}

/** A canvas that holds RGBA or a picture at its own size. */
export function offscreen(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}
