// An editor of label images: brush, eraser, polygon, region, zoom, undo; with the mouse, a finger or the keys alone.
// It knows nothing of where pictures and labels come from.

import { CanvasView, offscreen } from "./canvas_view.js";
import { CLASSES_TO_SEE, MARKUP, TOOLS } from "./editor_markup.js";
import { History } from "./history.js";
import { UNKNOWN, cut, labelImage, paintPolygon, paintRegion, paintStroke, tint } from "./raster.js";

/** `classes` are {name, colour: [red, green, blue]}; `onChange()` is called after every change of the labels. */
export function createEditor(host, { classes, onChange = () => {} }) {
  return new Editor(host, classes, onChange);
}

class Editor {
  constructor(host, classes, onChange) {
    host.innerHTML = MARKUP;
    const $ = (name) => host.querySelector(name);
    Object.assign(this, { host, classes, onChange, $, canvas: $(".editor-canvas") });
    this.view = new CanvasView(this.canvas);
    this.view.marks = (context) => this._marks(context);
    this.image = null;
    this.tool = "brush";
    this.chosen = 0;
    this.cursor = [0, 0];
    this.pen = null;
    this.aims = false;
    this.fingers = new Map();
    this._buildButtons();
    this._listen();
    this._forget();
    this._refresh();
  }

  /** Shows a picture (anything a canvas draws) with labels (train ids, row by row; null: all unknown). */
  open(picture, width, height, labels = null) {
    this.image = labelImage(width, height, labels && labels.slice());
    this.tinted = offscreen(width, height);
    this.cursor = [width >> 1, height >> 1];
    this.byKeys = false;
    this.picture = picture;
    this._forget();
    this._tint({ x: 0, y: 0, width, height });
    this._layers();
    this.view.fit();
    this._refresh();
  }

  /** A copy of the labels as they are. */
  labels() {
    return this.image.data.slice();
  }

  /** Other labels for the same picture, as one step that can be undone. */
  replace(labels) {
    this._step(() => {
      this.image.data.set(labels);
      return { x: 0, y: 0, width: this.image.width, height: this.image.height };
    });
  }

  close() {
    this.view.close();
    this.host.replaceChildren();
  }

  // ── Painting ──

  get value() {
    return this.tool === "eraser" ? UNKNOWN : this.chosen;
  }

  get size() {
    return Number(this.$(".size").value);
  }

  /** What `paint` does, whose box it returns, becomes one step. */
  _step(paint) {
    this.history.begin();
    this._painted(paint());
    this._end();
  }

  _painted(box) {
    if (!box) return;
    this.history.add(box);
    this._tint(box);
    this.view.draw();
  }

  _end() {
    if (this.history.end()) this._changed();
  }

  undo() {
    if (this.corners.length) this._backCorner();
    else if (!this.pen) this._applied(this.history.undo(), "Undone");
  }

  redo() {
    if (!this.pen && !this.corners.length) this._applied(this.history.redo(), "Done again");
  }

  _applied(box, words) {
    if (!box) return;
    this._tint(box);
    this.view.draw();
    this._changed(words);
  }

  _changed(words) {
    this._refresh(words);
    this.onChange();
  }

  _forget() {
    this.history = new History(this.image);
    this.corners = [];
    this.pen = null;
  }

  _tint(box) {
    const rgba = tint(cut(this.image, this.image.data, box), this.classes.map((one) => one.colour));
    this.tinted.getContext("2d").putImageData(new ImageData(rgba, box.width, box.height), box.x, box.y);
  }

  _inside([x, y]) {
    const { width, height } = this.image;
    return [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  }

  /** Whether the tool paints while it moves; others do what they do where they are lifted. */
  get strokes() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  /** The tool at a pixel: begins a stroke, or does at once what it does. */
  _press(at) {
    if (this.tool === "polygon") this._corner(this._inside(at));
    else if (this.tool === "region") this._step(() => paintRegion(this.image, this._inside(at), this.value));
    else if (this.tool === "pick") this._pick(this._inside(at));
    else {
      this.history.begin();
      this.pen = at;
      this._stroke(at);
    }
  }

  _stroke(at) {
    this._painted(paintStroke(this.image, this.pen, at, this.size, this.value));
    this.pen = at;
  }

  _lift() {
    if (!this.pen) return;
    this.pen = null;
    this._end();
  }

  _corner(at) {
    const first = this.corners[0], close = first && this._isNear(at, first);
    if (close && this.corners.length < 3) return;
    if (close) this._closePolygon();
    else this.corners.push(at);
    this.view.draw();
    this._refresh();
  }

  _isNear(one, other) {
    const [a, b] = [this.view.placeOf(one), this.view.placeOf(other)];
    return Math.hypot(a[0] - b[0], a[1] - b[1]) < 9;
  }

  _closePolygon() {
    const corners = this.corners;
    this.corners = [];
    if (corners.length > 2) this._step(() => paintPolygon(this.image, corners, this.value));
    this.view.draw();
  }

  _dropCorners() {
    this.corners = [];
    this.view.draw();
    this._refresh("Polygon dropped");
  }

  _pick([x, y]) {
    const found = this.image.data[y * this.image.width + x];
    if (found === UNKNOWN) this.choose("eraser");
    else {
      this.chooseClass(found);
      this.choose("brush");
    }
  }

  choose(tool) {
    this._lift();
    const drops = tool !== "polygon" && this.corners.length > 0;
    if (drops) this.corners = [];
    this.tool = tool;
    this.view.draw();
    this._refresh(drops ? "Polygon dropped" : "");
  }

  chooseClass(index) {
    this.chosen = (index + this.classes.length) % this.classes.length;
    if (this.tool === "eraser") this.tool = "brush";
    const list = this.$(".editor-classes"), button = list.children[this.chosen];
    const least = button.offsetTop + button.offsetHeight - list.clientHeight;
    list.scrollTop = Math.min(button.offsetTop, Math.max(list.scrollTop, least));
    this._refresh();
  }

  resize(by) {
    const step = Math.max(1, Math.round(this.size / 6));
    this.$(".size").value = this.size + by * step;
    this.view.draw();
    this._refresh();
  }

  // ── What is shown ──

  _layers() {
    const alpha = this.hidden ? 0 : this.$(".alpha").value / 100;
    const layers = [{ image: this.picture, alpha: 1 }, { image: this.tinted, alpha }];
    this.view.show(this.image.width, this.image.height, layers);
  }

  _marks(context) {
    if (!this.image) return;
    const { view } = this, place = view.placeOf(this.cursor);
    const lines = (width, colour) => {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      this.corners.forEach((corner) => context.lineTo(...view.placeOf(corner)));
      if (this.corners.length) {
        context.lineTo(...place);
        const [x, y] = view.placeOf(this.corners[0]);
        context.rect(x - 5, y - 5, 10, 10);
      }
      if (this.strokes) {
        context.moveTo(place[0] + (this.size * view.scale) / 2, place[1]);
        context.arc(...place, Math.max(1, (this.size * view.scale) / 2), 0, 2 * Math.PI);
      }
      if (this.byKeys || this.tool !== "brush") {
        [[-9, 0, -3, 0], [3, 0, 9, 0], [0, -9, 0, -3], [0, 3, 0, 9]].forEach(([ax, ay, bx, by]) => {
          context.moveTo(place[0] + ax, place[1] + ay);
          context.lineTo(place[0] + bx, place[1] + by);
        });
      }
      context.stroke();
    };
    lines(3, "#000");
    lines(1.25, "#fff");
  }

  _refresh(words = "") {
    const { host, $ } = this, tool = TOOLS.find(([name]) => name === this.tool);
    host.querySelectorAll("[data-tool]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.tool === this.tool));
    host.querySelectorAll("[data-id]").forEach((button) => {
      button.setAttribute("aria-pressed", Number(button.dataset.id) === this.chosen && this.tool !== "eraser");
    });
    $(".undo").disabled = !this.history.done.length && !this.corners.length;
    $(".redo").disabled = !this.history.undone.length;
    $(".size + output").textContent = this.size;
    if (!this.image) return;
    const [x, y] = this.cursor, under = this.image.data[y * this.image.width + x];
    const parts = [tool[1] + (this.strokes ? ` ${this.size}` : "")];
    if (this.tool !== "eraser" && this.tool !== "pick") parts.push(this.classes[this.chosen].name);
    if (this.corners.length) parts.push(this.corners.length === 1 ? "1 corner" : `${this.corners.length} corners`);
    parts.push(`at ${x}, ${y}: ${under === UNKNOWN ? "unknown" : this.classes[under].name}`);
    $(".editor-now").textContent = [words, ...parts].filter(Boolean).join(", ");
  }

  _buildButtons() {
    const button = (text, title, data) => {
      const made = document.createElement("button");
      made.type = "button";
      made.title = title;
      Object.assign(made.dataset, data);
      made.append(text);
      return made;
    };
    this.$(".group").append(...TOOLS.map(([tool, name, key, what]) => button(name, `${what} (${key})`, { tool })));
    this.$(".find").hidden = this.classes.length <= CLASSES_TO_SEE;
    this.$(".editor-classes").append(...this.classes.map(({ name, colour }, id) => {
      const made = button(name, id < 9 ? `${name} (${id + 1})` : name, { id }), swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = `rgb(${colour.join(" ")})`;
      made.prepend(swatch);
      return made;
    }));
  }

  // ── Mouse, fingers, keys ──

  _listen() {
    const { canvas, host, $ } = this;
    host.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button || !this.image) return;
      if (button.dataset.tool) this.choose(button.dataset.tool);
      if (button.dataset.id) this.chooseClass(Number(button.dataset.id));
      if (button.matches(".undo")) this.undo();
      if (button.matches(".redo")) this.redo();
      if (button.matches(".zoom-in")) this.view.zoomBy(1.5);
      if (button.matches(".zoom-out")) this.view.zoomBy(1 / 1.5);
      if (button.matches(".zoom-fit")) this.view.fit();
    });
    $(".find").addEventListener("input", () => this._find());
    $(".find").addEventListener("keydown", ({ key }) => {
      if (key === "Enter" && this._found()) this.chooseClass(Number(this._found().dataset.id));
      if (key !== "Enter" && key !== "Escape") return;
      $(".find").value = "";
      this._find();
      canvas.focus();
    });
    $(".size").addEventListener("input", () => { this.view.draw(); this._refresh(); });
    $(".alpha").addEventListener("input", () => this.image && this._layers());
    for (const kind of ["down", "move", "up", "cancel"]) {
      canvas.addEventListener(`pointer${kind}`, (event) => this.image && this._pointer(kind, event));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      if (!this.image || document.activeElement !== canvas) return;
      event.preventDefault();
      this.view.zoomBy(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY]);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (this.image && this._key(event)) event.preventDefault();
    });
    canvas.addEventListener("keyup", (event) => { if (event.key === " ") this._lift(); });
    canvas.addEventListener("blur", () => this._lift());
  }

  /** Shows the classes whose names hold what is looked for. */
  _find() {
    const wanted = this.$(".find").value.trim().toLowerCase();
    this.classes.forEach(({ name }, id) => {
      this.$(`[data-id="${id}"]`).hidden = !name.toLowerCase().includes(wanted);
    });
  }

  _found() {
    return this.$("[data-id]:not([hidden])");
  }

  _pointer(kind, event) {
    const { fingers, view } = this, old = fingers.get(event.pointerId), now = [event.offsetX, event.offsetY];
    const pixel = view.pixelAt(...now), ends = kind === "up" || kind === "cancel";
    this.byKeys = false;
    this.cursor = this._inside(pixel);
    if (kind === "down") {
      this.canvas.focus({ preventScroll: true });
      this.canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, now);
      if (fingers.size > 1) this._abandon();
      else if (event.button === 0 && this.strokes) this._press(pixel);
      else this.aims = event.button === 0;
    } else if (ends) {
      fingers.delete(event.pointerId);
      if (this.aims && kind === "up") this._press(pixel);
      this.aims = false;
      this._lift();
    } else if (old) {
      fingers.set(event.pointerId, now);
      if (fingers.size > 1) this._pinch(old, now, event.pointerId);
      else if (event.buttons & 6) view.moveBy(now[0] - old[0], now[1] - old[1]);
      else if (this.pen) this._stroke(pixel);
    }
    view.draw();
    if (kind !== "move") this._refresh();
  }

  /** A second finger moves the picture: what the first has painted meanwhile is taken back. */
  _abandon() {
    this.aims = false;
    if (!this.pen) return;
    this.pen = null;
    const box = this.history.abandon();
    if (box) this._tint(box);
  }

  _pinch(old, now, id) {
    const other = [...this.fingers].find(([key]) => key !== id)[1];
    const [before, after] = [old, now].map((point) => Math.hypot(point[0] - other[0], point[1] - other[1]));
    this.view.moveBy((now[0] - old[0]) / 2, (now[1] - old[1]) / 2);
    if (before > 0) this.view.zoomBy(after / before, [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  }

  /** Whether the key means something here. */
  _key(event) {
    const { key, ctrlKey, metaKey, altKey, shiftKey, repeat } = event, lower = key.toLowerCase();
    if (ctrlKey || metaKey) {
      const does = { z: shiftKey ? this.redo : this.undo, y: this.redo }[lower];
      if (does) does.call(this);
      return Boolean(does);
    }
    if (altKey) return false;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (arrow) return this._moveCursor(arrow, shiftKey ? 10 : 1);
    const tool = TOOLS.find((one) => one[2] === lower);
    if (tool) return this.choose(tool[0]) || true;
    if (/^[1-9]$/.test(key) && Number(key) <= this.classes.length) return this.chooseClass(Number(key) - 1) || true;
    const does = {
      " ": () => { if (!repeat && !this.pen) this._press(this.cursor); },
      Enter: () => { if (!this.pen) { this._press(this.cursor); this._lift(); } },
      Escape: this.corners.length ? () => this._dropCorners() : null, Backspace: () => this._backCorner(),
      "[": () => this.resize(-1), "]": () => this.resize(1),
      ",": () => this.chooseClass(this.chosen - 1), ".": () => this.chooseClass(this.chosen + 1),
      "+": () => this._zoom(1.5), "=": () => this._zoom(1.5), "-": () => this._zoom(1 / 1.5),
      "0": () => this.view.fit(),
      "/": () => { if (this.classes.length > CLASSES_TO_SEE) this.$(".find").focus(); },
      h: () => { this.hidden = !this.hidden; this._layers(); },
    }[lower.length === 1 ? lower : key];
    if (!does) return false;
    does();
    return true;
  }

  _zoom(factor) {
    this.view.zoomBy(factor, this.byKeys ? this.view.placeOf(this.cursor) : null);
  }

  _backCorner() {
    this.corners.pop();
    this.view.draw();
    this._refresh();
  }

  _moveCursor([dx, dy], by) {
    const pixels = by * Math.max(1, Math.round(1 / this.view.scale));
    this.byKeys = true;
    this.cursor = this._inside([this.cursor[0] + dx * pixels, this.cursor[1] + dy * pixels]);
    if (this.pen) this._stroke(this.cursor);
    this.view.reveal(this.cursor);
    this.view.draw();
    this._refresh();
    return true;
  }
}
