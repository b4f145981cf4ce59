// Undo and redo of what is painted into a label image (see raster.js).

import { cut, paste, union } from "./raster.js";

const MOST_STEPS = 200, MOST_BYTES = 1 << 27;

export class History {
  constructor(image) {
    this.image = image;
    this.done = [];
    this.undone = [];
  }

  /** A step begins: `add` the boxes that are painted, then `end`, or `abandon` it. */
  begin() {
    this.before = this.image.data.slice();
    this.box = null;
  }

  add(box) {
    this.box = union(this.box, box);
  }

  /** Whether the step has changed anything. */
  end() {
    const { image, before, box } = this;
    this.before = null;
    if (!box) return false;
    const step = { box, before: cut(image, before, box), after: cut(image, image.data, box) };
    if (step.before.every((value, i) => value === step.after[i])) return false;
    this.undone = [];
    this.done.push(step);
    let bytes = this.done.reduce((sum, one) => sum + 2 * one.before.length, 0);
    while (this.done.length > MOST_STEPS || (bytes > MOST_BYTES && this.done.length > 1)) {
      bytes -= 2 * this.done.shift().before.length;
    }
    return true;
  }

  /** Takes back what was painted since `begin`; returns its box. */
  abandon() {
    this.image.data.set(this.before);
    this.before = null;
    return this.box;
  }

  /** Takes the last step back; returns the box that changed, null where there is no step. */
  undo() {
    return this._apply(this.done, this.undone, "before");
  }

  redo() {
    return this._apply(this.undone, this.done, "after");
  }

  _apply(from, to, which) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    paste(this.image, step[which], step.box);
    return step.box;
  }
}
