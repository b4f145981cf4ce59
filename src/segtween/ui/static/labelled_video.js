// A video that is labelled: the frames that are proposed, the one in the editor, the propagation, and what it changed.

import { request } from "./api.js";
import { Comparison } from "./comparison.js";
import { Drafts } from "./drafts.js";
import { createEditor } from "./editor.js";
import { alert, attempt, counted, make } from "./page.js";
import { receive, send } from "./octets.js";
import { UNKNOWN } from "./raster.js";

const KEPT_PICTURES = 24;
const WORDS = { saved: "saved labels", after: "propagated labels", network: "the network's labels", nothing: "nothing" };

const MARKUP = `
<h2 class="title" tabindex="-1"></h2>
<p class="note notes"></p>
<h3>Frames to label</h3>
<div class="proposals" role="group" aria-label="Frames to label"></div>
<div class="row unsaved" hidden>
  <span></span><button type="button" class="plain save-all">Save all</button>
  <button type="button" class="plain forget">Forget all</button>
</div>
<form class="row another">
  <label>Another frame <input type="number" min="0" value="0"></label><button class="plain">Open frame</button>
  <button type="button" class="plain other">Label another video</button>
</form>
<section class="painting" hidden>
  <h3 class="frame-title"></h3>
  <div class="editor"></div>
  <div class="row">
    <button type="button" class="primary save" title="Save (Ctrl+S)">Save labels</button>
    <span class="row-part"><label>Start again from <select class="origin"></select></label>
    <button type="button" class="plain again">Take these</button></span>
    <button type="button" class="plain remove">Remove saved labels</button>
  </div>
</section>
<p class="status" role="status"></p>
<h3>Propagate</h3>
<div class="row">
  <button type="button" class="primary propagate">Propagate labels</button><span class="faint pending"></span>
</div>
<div class="jobs"></div>
<section class="result" hidden>
  <h3>What changed</h3>
  <p class="share"></p>
  <div class="comparison"></div>
  <div class="row">
    <button type="button" class="primary next"></button><button type="button" class="plain this"></button>
  </div>
</section>
<h3>Label images</h3>
<div class="row">
  <a class="plain file download" download="labels.zip">Download saved labels (PNG)</a>
  <label class="plain file">Load PNG files, a zip or an export
    <input type="file" class="files" multiple accept=".png,.zip,.json,.xml"></label>
  <label class="plain file">Load a folder of PNG files<input type="file" class="folder" webkitdirectory></label>
</div>
<p class="note">The same in a terminal: <code class="command"></code></p>`;

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

export class LabelledVideo {
  /** `state` is what the server says of the labelling. `run(job)` follows a propagation, `another()` leaves it. */
  constructor(host, state, { run, another }) {
    host.innerHTML = MARKUP;
    Object.assign(this, { host, state, run, $: (name) => host.querySelector(name) });
    this.base = `/api/labelling/${state.id}`;
    this.$(".download").href = `${this.base}/labels.zip`;
    this.frame = this.editor = this.result = null;
    this.waiting = [];
    this.strokes = 0;
    this.keeping = Promise.resolve();
    this.pictures = new Map();
    this.drafts = new Drafts({ name: state.video.name, ...state });
    this.$(".another input").max = state.frames - 1;
    this.events = new AbortController();
    this._listen(another);
  }

  /** Shows it as it is. */
  async begin() {
    await this._update(this.state);
    if (this.state.runs) await this._compare();
  }

  /** Another run of the propagation is done. */
  async propagated(state) {
    await this._update(state);
    await this._compare();
    this.announce(`Labels propagated to ${counted(state.frames)}.`);
    this.$(".result").scrollIntoView({ block: "start" });
    this.$(".next").focus({ preventScroll: true });
  }

  work(busy) {
    this.$(".propagate").disabled = busy;
  }

  close() {
    attempt(() => this._keepDraft());
    this.events.abort();
    if (this.editor) this.editor.close();
    if (this.result) this.result.close();
    this.host.replaceChildren();
  }

  announce(text) {
    this.$(".status").textContent = text;
  }

  // ── What is proposed ──

  async _update(state) {
    this.state = state;
    const { saved, pending, runs } = state;
    this.waiting = await this.drafts.unsaved(state.id).catch(() => []);
    this.$(".title").textContent = `${state.video.name}: ${counted(state.frames)}, ${saved.length} labelled`;
    this.$(".notes").textContent = state.notes.join("; ");
    this.$(".command").textContent = state.command;
    this.$(".pending").textContent = !saved.length ? "Save labels of a frame first."
      : `From ${counted(saved.length)}${runs ? `; ${pending.length || "none"} new since the last run` : ""}.`;
    this.$(".download").hidden = !saved.length;
    this._offer();
    this._propose();
  }

  _propose() {
    const { proposals, saved } = this.state, known = new Map(proposals.map((one) => [one.frame, one]));
    const others = [...new Set([...saved, ...this.waiting])].filter((frame) => !known.has(frame)).sort((a, b) => a - b);
    const cards = [...known.keys(), ...others].map((frame) => this._card(frame, known.get(frame)));
    this.$(".proposals").replaceChildren(...cards);
    const { length } = this.waiting;
    this.$(".unsaved").hidden = !length;
    const all = length === 1 ? "One frame is" : `${length} frames are`;
    this.$(".unsaved span").textContent = `${all} painted and not saved.`;
    const next = proposals.find((one) => !saved.includes(one.frame));
    this.next = next ? next.frame : null;
    this.$(".next").disabled = !next;
    this.$(".next").textContent = next ? `Next proposal: frame ${next.frame}` : "No further proposal";
  }

  _card(frame, proposal) {
    const { saved, runs, by_network: network } = this.state, words = [];
    if (proposal && (network || runs)) words.push(`expected error ${percent(proposal.expected_error)}`);
    if (this.waiting.includes(frame)) words.push("not saved");
    else if (saved.includes(frame)) words.push("labelled");
    return make("button", { type: "button", "data-frame": frame, "aria-pressed": String(frame === this.frame) },
      make("img", { alt: "", src: `${this.base}/frames/${frame}` }), make("span", {}, `Frame ${frame}`),
      make("small", {}, words.join(", ")));
  }

  // ── The frame in the editor ──

  async _picture(frame) {
    if (!this.pictures.has(frame)) {
      const image = make("img", { src: `${this.base}/frames/${frame}` });
      await image.decode().catch(async () => {
        await receive(`${this.base}/frames/${frame}`); // says why
        throw new Error(`frame ${frame} cannot be shown; reload the page`);
      });
      this.pictures.set(frame, image);
      if (this.pictures.size > KEPT_PICTURES) this.pictures.delete(this.pictures.keys().next().value);
    }
    return this.pictures.get(frame);
  }

  /** Labels of a frame; null where there are none. */
  async _labels(frame, origin) {
    if (origin === "nothing") return null;
    return receive(`${this.base}/frames/${frame}/labels/${origin}`);
  }

  _origins(frame) {
    const { saved, runs, by_network: network } = this.state;
    return [saved.includes(frame) && "saved", runs && "after", network && "network", "nothing"].filter(Boolean);
  }

  async _open(frame) {
    const { width, height, frames, classes } = this.state;
    if (!Number.isInteger(frame) || frame < 0 || frame >= frames) {
      throw new Error(`frame ${frame}; expected 0 to ${frames - 1}; choose one of the video`);
    }
    const origins = this._origins(frame), draft = await this._draft(frame);
    const labels = draft || await this._labels(frame, origins[0]), picture = await this._picture(frame);
    while (this.unkept || this.writing) await this._keepDraft();
    this.frame = frame;
    this.$(".painting").hidden = false;
    this.editor ||= createEditor(this.$(".editor"), { classes, onChange: () => this._painted() });
    this.editor.open(picture, width, height, labels);
    this._title(draft ? "what was painted and not saved" : WORDS[origins[0]]);
    this.$(".another input").value = frame;
    this._offer();
    this._propose();
    this.$(".painting").scrollIntoView({ block: "start" });
    this.$(".editor-canvas").focus({ preventScroll: true });
  }

  /** What the frame may start again from. */
  _offer() {
    const options = this._origins(this.frame).map((origin) => make("option", { value: origin }, WORDS[origin]));
    this.$(".origin").replaceChildren(...options);
    this.$(".remove").hidden = !this.state.saved.includes(this.frame);
  }

  _title(from) {
    this.$(".frame-title").textContent = `Frame ${this.frame}, from ${from}`;
  }

  /** What was painted of a frame and not saved; undefined where there is nothing. */
  async _draft(frame) {
    return this.waiting.includes(frame) ? this.drafts.get(frame).catch(() => undefined) : undefined;
  }

  _painted() {
    this.strokes += 1;
    this.unkept = true;
    this._keepDraft();
  }

  /** What is painted goes into this browser's store, at once. */
  _keepDraft() {
    this.keeping = this.keeping.then(() => this._keep());
    return this.keeping;
  }

  async _keep() {
    if (!this.unkept) return;
    const { frame } = this, labels = this.editor.labels();
    this.unkept = false;
    this.writing = true;
    await this.drafts.put(frame, labels).catch(() => {
      alert("This browser keeps no drafts (a private window, or no room): save labels before you leave the page.");
    });
    this.writing = false;
    if (this.waiting.includes(frame)) return;
    this.waiting.push(frame);
    this._propose();
  }

  async _save() {
    const { frame, strokes } = this, labels = this.editor.labels();
    await this._keepDraft();
    const { labelling } = await this._send(frame, labels, () => this.strokes === strokes);
    await this._update(labelling);
    this._title(WORDS.saved);
    this.announce(`Labels of frame ${frame} saved.`);
  }

  /** Saves labels of a frame; where they are still what is painted, they count as saved here, too. */
  async _send(frame, labels, isSame = () => true) {
    const answer = await send(`${this.base}/frames/${frame}/labels/saved`, labels, "PUT");
    if (isSame()) await this.drafts.put(frame, labels, this.state.id).catch(() => {});
    return answer;
  }

  async _saveAll() {
    await this._keepDraft();
    const frames = [...this.waiting];
    let answer = null;
    for (const frame of frames) {
      const { strokes } = this, labels = await this._draft(frame);
      if (labels) answer = await this._send(frame, labels, () => this.strokes === strokes);
    }
    if (answer) await this._update(answer.labelling);
    this.announce(`Labels of ${counted(frames.length)} saved.`);
  }

  async _forget() {
    await this._keepDraft();
    const frames = [...this.waiting];
    await Promise.all(frames.map((frame) => this.drafts.remove(frame)));
    await this._update(this.state);
    if (frames.includes(this.frame)) await this._open(this.frame);
    this.announce(`What was not saved of ${counted(frames.length)} is gone.`);
  }

  async _startAgain() {
    const origin = this.$(".origin").value, labels = await this._labels(this.frame, origin);
    this.editor.replace(labels || new Uint8Array(this.state.width * this.state.height).fill(UNKNOWN));
    this.announce(`Frame ${this.frame} starts again from ${WORDS[origin]}; Undo takes that back.`);
  }

  /** What is in the editor becomes a draft, so that it is not lost with the saved labels. */
  async _remove() {
    const { frame } = this;
    this._painted();
    await this._keepDraft();
    await this._update((await request(`${this.base}/frames/${frame}/labels/saved`, {}, "DELETE")).labelling);
    this.announce(`Saved labels of frame ${frame} removed; those in the editor are still here.`);
  }

  async _load(files) {
    const chosen = [...files].filter((file) => /\.(png|zip|json|xml)$/i.test(file.name)), frames = [], faults = [];
    if (!chosen.length) {
      throw new Error("no label files; expected PNG files, a zip file of them or an export; choose others");
    }
    for (const file of chosen) {
      this.announce(`Loading ${file.name}`);
      try {
        const done = await send(`${this.base}/files?name=${encodeURIComponent(file.name)}`, file, "POST");
        frames.push(...done.frames);
        const older = done.frames.filter((frame) => !this.waiting.includes(frame));
        await Promise.all(older.map((frame) => this.drafts.remove(frame))).catch(() => {});
        await this._update(done.labelling);
      } catch (error) {
        faults.push(error.message);
      }
    }
    this.announce(frames.length ? `Labels of ${counted(frames.length)} loaded: ${frames.join(", ")}.` : "");
    if (frames.includes(this.frame) && !this.waiting.includes(this.frame)) await this._open(this.frame);
    if (faults.length > 1) throw new Error(`${faults.length} files were not loaded; the first: ${faults[0]}`);
    if (faults.length) throw new Error(faults[0]);
  }

  // ── Propagation ──

  async _propagate() {
    await this._keepDraft();
    if (this.editor && this.waiting.includes(this.frame)) await this._save();
    await this.run(await request(`${this.base}/propagate`, {}));
  }

  async _compare() {
    const { changed, runs, by_network: network, classes, width, height, saved } = this.state;
    const mean = changed.reduce((sum, share) => sum + share, 0) / changed.length;
    this.before = runs > 1 ? "last run" : network ? "network" : null;
    this.$(".result").hidden = false;
    const count = changed.filter((share) => share > 0).length, where = `in ${count} of ${counted(changed.length)}`;
    this.$(".share").textContent = `${percent(mean)} of all pixels ` +
      (this.before ? `changed (before: ${this.before}), ${where}.` : "have a class now.");
    this.result ||= new Comparison(this.$(".comparison"), {
      classes,
      load: (at) => this._both(at),
      onFrame: (at) => { this.$(".this").textContent = `Label frame ${at}`; },
    });
    const frame = changed.indexOf(Math.max(...changed));
    await this.result.open({ width, height, changed, before: this.before, labelled: saved, frame });
  }

  async _both(frame) {
    const [picture, after, before] = await Promise.all(
      [this._picture(frame), this._labels(frame, "after"), this.before ? this._labels(frame, "before") : null]);
    return { picture, after, before };
  }

  // ── Buttons ──

  _listen(another) {
    const { $, events: { signal } } = this, on = (name, kind, work) => $(name).addEventListener(kind, (event) => {
      event.preventDefault();
      attempt(() => work(event));
    });
    on(".other", "click", another);
    on(".another", "submit", () => this._open(Number($(".another input").value)));
    on(".proposals", "click", ({ target }) => {
      const button = target.closest("button");
      return button && this._open(Number(button.dataset.frame));
    });
    on(".save", "click", () => this._save());
    on(".save-all", "click", () => this._saveAll());
    on(".forget", "click", () => this._forget());
    on(".again", "click", () => this._startAgain());
    on(".remove", "click", () => this._remove());
    on(".propagate", "click", () => this._propagate());
    on(".this", "click", () => this._open(this.result.frame));
    on(".next", "click", () => this._open(this.next));
    for (const name of [".files", ".folder"]) {
      on(name, "change", ({ target }) => this._load(target.files).finally(() => { target.value = ""; }));
    }
    this.host.addEventListener("keydown", (event) => {
      if (!this.editor || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
      event.preventDefault();
      attempt(() => this._save());
    }, { signal });
    addEventListener("beforeunload", (event) => {
      if (this.unkept || this.writing) event.preventDefault();
    }, { signal });
  }
}
