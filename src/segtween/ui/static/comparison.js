// Before and after of a frame's labels: a divider between them, changed pixels marked, and how much changed when.

import { CanvasView, offscreen } from "./canvas_view.js";
import { UNKNOWN, tint } from "./raster.js";

const MARKED = 0xffff00ff; // magenta, opaque: alpha, blue, green, red

const MARKUP = `
<div class="comparison-stage">
  <canvas class="comparison-canvas" role="img"></canvas>
  <span class="side before"></span><span class="side after">After</span>
</div>
<div class="editor-tools">
  <label class="wide">Frame <input type="range" class="frame" min="0" step="1"></label>
  <label>Divider <input type="range" class="split" min="0" max="100" value="50"></label>
  <label class="marking"><input type="checkbox" class="marks" checked> Mark changed pixels</label>
</div>
<p class="comparison-now" aria-live="polite"></p>
<svg class="changes" preserveAspectRatio="none" role="img" tabindex="-1"></svg>
<div class="ends"><span>Frame 0</span><span class="last"></span></div>`;

/** `load(frame)` gives {picture, before, after}: what a canvas draws, and labels (before may be null: none). */
export class Comparison {
  constructor(host, { classes, load, onFrame = () => {} }) {
    host.innerHTML = MARKUP;
    Object.assign(this, { host, classes, load, onFrame, $: (name) => host.querySelector(name) });
    this.view = new CanvasView(this.$(".comparison-canvas"));
    this.frame = 0;
    this.shown = null;
    this._listen();
  }

  /** Other labels: the share of changed pixels of each frame, 0..1, and what the side before is called. */
  async open({ width, height, changed, before, labelled, frame }) {
    Object.assign(this, { width, height, changed, before });
    this.$(".frame").max = changed.length - 1;
    this.$(".side.before").textContent = before ? `Before: ${before}` : "Before: nothing";
    this.$(".marking").hidden = !before;
    this.$(".last").textContent = `Frame ${changed.length - 1}`;
    this._chart(labelled);
    this.shown = null;
    await this.show(frame);
  }

  async show(frame) {
    this.frame = Math.max(0, Math.min(this.changed.length - 1, frame));
    this.$(".frame").value = this.frame;
    const wanted = this.frame, found = await this.load(wanted);
    if (wanted !== this.frame) return;
    this.shown = found;
    this._compose();
    this.onFrame(this.frame);
  }

  close() {
    this.view.close();
    this.host.replaceChildren();
  }

  /** What is drawn of the frame: both sides in the colours of their classes, and the changed pixels. */
  _compose() {
    const { width, height, shown, classes } = this, colours = classes.map((one) => one.colour);
    const before = shown.before || new Uint8Array(width * height).fill(UNKNOWN), marks = new Uint32Array(before.length);
    for (let i = 0; i < marks.length; i++) if (before[i] !== shown.after[i]) marks[i] = MARKED;
    const pictures = [tint(before, colours), tint(shown.after, colours), new Uint8ClampedArray(marks.buffer)];
    this.drawn = pictures.map((rgba) => {
      const layer = offscreen(width, height);
      layer.getContext("2d").putImageData(new ImageData(rgba, width, height), 0, 0);
      return layer;
    });
    const did = this.before ? "changed" : "have a class now";
    const share = `${(100 * this.changed[this.frame]).toFixed(2)}% of its pixels ${did}`;
    this.$(".comparison-canvas").setAttribute("aria-label", `Frame ${this.frame}, labels before and after: ${share}`);
    this.$(".comparison-now").textContent = `Frame ${this.frame}: ${share}`;
    for (const end of ["x1", "x2"]) this.$(".cursor").setAttribute(end, this.frame + 0.5);
    this._divide();
  }

  /** Draws it with the divider where it is. */
  _divide() {
    const { width, height, shown, view } = this, [before, after, marks] = this.drawn;
    const at = Math.round((width * this.$(".split").value) / 100), alpha = 0.55;
    view.marks = (context) => {
      context.fillStyle = "#fff";
      context.fillRect(view.placeOf([at - 0.5, 0])[0] - 1, 0, 2, view.canvas.clientHeight);
    };
    view.show(width, height, [
      { image: shown.picture, alpha: 1 }, { image: before, alpha, to: at }, { image: after, alpha, from: at },
      { image: marks, alpha: this.$(".marks").checked && this.before ? 0.6 : 0 },
    ]);
  }

  _chart(labelled) {
    const frames = this.changed.length, most = Math.max(...this.changed, 1e-6), chart = this.$(".changes");
    const draw = (x, top, bottom, name) =>
      `<rect class="${name}" x="${x}" width="1.02" y="${top}" height="${bottom - top}"/>`;
    chart.setAttribute("viewBox", `0 0 ${frames} 100`);
    chart.innerHTML = this.changed.map((share, x) => draw(x, 100 - (80 * share) / most, 100, "bar")).join("") +
      labelled.map((x) => draw(x, 0, 14, "labelled")).join("") +
      '<line class="cursor" y1="0" y2="100" vector-effect="non-scaling-stroke"/>';
    chart.setAttribute("aria-label", `Share of changed pixels of each frame, ${(100 * most).toFixed(1)}% at most; ` +
      `labelled frames: ${labelled.join(", ")}`);
  }

  _listen() {
    const { $ } = this, stage = $(".comparison-stage");
    $(".frame").addEventListener("input", () => this.show(Number($(".frame").value)));
    for (const name of [".split", ".marks"]) $(name).addEventListener("input", () => this.shown && this._divide());
    const divide = (event) => {
      if (!event.buttons || !this.shown) return;
      const [column] = this.view.pixelAt(event.clientX - stage.getBoundingClientRect().left, 0);
      $(".split").value = Math.round((100 * column) / this.width);
      this._divide();
    };
    let before = 50;
    stage.addEventListener("pointerdown", (event) => {
      before = $(".split").value;
      stage.setPointerCapture(event.pointerId);
      divide(event);
    });
    stage.addEventListener("pointermove", divide);
    stage.addEventListener("pointercancel", () => { // the page is scrolled instead
      $(".split").value = before;
      if (this.shown) this._divide();
    });
    $(".changes").addEventListener("pointerdown", (event) => {
      const box = $(".changes").getBoundingClientRect();
      this.show(Math.floor(((event.clientX - box.left) / box.width) * this.changed.length));
    });
  }
}
