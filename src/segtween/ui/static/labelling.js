// "Label frames": one of the proposed frames is labelled, the labels are propagated, and what changed is shown.

import { Comparison } from "./comparison.js";
import { Drafts } from "./drafts.js";
import { createEditor } from "./editor.js";
import { UNKNOWN } from "./raster.js";

const DRAFT_DELAY_MS = 250;
const WORDS = { saved: "saved labels", after: "propagated labels", network: "network's labels", nothing: "nothing" };

const MARKUP = `
<p class="message" role="alert" hidden></p>
<p class="status" role="status"></p>
<form class="beginning">
  <h2>Label a video</h2>
  <p class="note">Label a few frames and get labels for all of them: they are propagated along optical flow.</p>
  <div class="controls">
    <label>Video <select name="video" required></select></label>
    <label>Begin from <select name="from"></select></label>
    <label class="sets">Classes <select name="set"></select></label>
    <label class="own">Names, with commas between <input name="classes" placeholder="road, car, person"></label>
    <button class="primary">Open</button>
    <button type="button" class="back" hidden>Back to the open video</button>
  </div>
</form>
<section class="labelling" hidden>
  <h2 class="title"></h2>
  <p class="note notes"></p>
  <h3>Frames to label</h3>
  <div class="proposals" role="group" aria-label="Frames to label"></div>
  <form class="controls another">
    <label>Another frame <input name="frame" type="number" min="0" value="0"></label><button>Open frame</button>
    <button type="button" class="other">Label another video</button>
  </form>
  <section class="painting" hidden>
    <h3 class="frame-title" tabindex="-1"></h3>
    <div class="editor"></div>
    <div class="controls">
      <button type="button" class="primary save" title="Save (Ctrl+S)">Save labels</button>
      <label>Start again from <select class="origin"></select></label><button type="button" class="again">Take these</button>
      <button type="button" class="remove">Remove saved labels</button>
    </div>
  </section>
  <h3>Propagate</h3>
  <div class="controls">
    <button type="button" class="primary propagate">Propagate labels</button><span class="pending"></span>
  </div>
  <section class="result" hidden>
    <h3>What changed</h3>
    <p class="share"></p>
    <div class="comparison"></div>
    <div class="controls">
      <button type="button" class="this">Label this frame</button>
      <button type="button" class="primary next">Next proposal</button>
    </div>
  </section>
  <h3>Label images</h3>
  <div class="controls">
    <a class="button download" href="api/labelling/labels.zip" download="labels.zip">Download labels (PNG)</a>
    <label>Load PNG files, a zip or an export <input type="file" class="files" multiple accept=".png,.zip,.json,.xml"></label>
    <label>or a folder <input type="file" class="folder" webkitdirectory></label>
  </div>
  <p class="note">The same in a terminal: <code class="command"></code></p>
</section>
<div class="working" hidden>
  <progress aria-label="Progress"></progress> <span class="progress-text"></span> <button type="button" class="cancel">Cancel</button>
</div>`;

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

async function answer(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; what was painted is kept in this browser");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const ended = response.status === 409 && /session has ended/.test(error || "");
  throw new Error((error || `the server answered ${response.status}`) +
    (ended ? "; what was painted is kept in this browser and offered when the video is opened again" : ""));
}

const json = async (path, options) => (await answer(path, options)).json();
const post = (path, values = {}) =>
  json(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values) });

/** The view in `host`. `show()` is to be called when it comes into sight. */
export function createLabelling(host) {
  return new Labelling(host);
}

class Labelling {
  constructor(host) {
    host.innerHTML = MARKUP;
    Object.assign(this, { host, $: (name) => host.querySelector(name), state: null, frame: null, editor: null });
    this.result = null;
    this.pictures = new Map();
    this._listen();
  }

  /** Asks the server how things stand. */
  async show() {
    await this._try(async () => {
      const [{ labelling, networks, label_sets: sets }, { videos, jobs }] =
        await Promise.all([json("api/labelling"), json("api/state")]);
      this._choices(videos, networks, sets);
      if (labelling && !this.state) await this._opened(labelling);
      else if (!labelling) this._chooseVideo();
      const job = jobs.find((one) => one.kind === "labelling" && ["waiting", "running"].includes(one.state));
      if (job && !this.job) await this._follow(job);
    });
  }

  // ── Messages ──

  /** Whether `work` went well; otherwise the page says why it did not. */
  async _try(work) {
    this._complain("");
    try {
      await work();
      return true;
    } catch (error) {
      this._complain(error.message);
      return false;
    }
  }

  _complain(text) {
    this.$(".message").textContent = text;
    this.$(".message").hidden = !text;
    if (text) this.$(".message").scrollIntoView({ block: "nearest" });
  }

  _say(text) {
    this.$(".status").textContent = text;
  }

  // ── Which video ──

  _choices(videos, networks, sets) {
    const { video, from, set } = this.$(".beginning").elements, chosen = video.value;
    const options = (list) => list.map(([value, text]) => new Option(text, value));
    video.replaceChildren(...options(videos.map((one) => [one.id, `${one.name}, ${one.width}x${one.height}`])));
    if (videos.some((one) => one.id === chosen)) video.value = chosen;
    if (from.options.length) return this._needVideo(videos);
    from.replaceChildren(...options([...networks.map((name) => [name, `the labels of ${name}`]), ["", "nothing"]]));
    set.replaceChildren(...options([...sets.map((name) => [name, name]), ["", "my own"]]));
    this._fields();
    return this._needVideo(videos);
  }

  _needVideo(videos) {
    this.$(".beginning button").disabled = !videos.length;
    if (!videos.length) this.$(".beginning .note").textContent = "Add a video first (tab \u201cRun\u201d), then label some of its frames.";
  }

  _fields() {
    const { from, set } = this.$(".beginning").elements;
    this.$(".sets").hidden = from.value !== "";
    this.$(".own").hidden = from.value !== "" || set.value !== "";
  }

  _chooseVideo() {
    this.$(".beginning").hidden = false;
    this.$(".labelling").hidden = true;
    this.$(".back").hidden = !this.state;
  }

  async _begin() {
    const { video, from, set, classes } = this.$(".beginning").elements, values = { video: video.value };
    if (from.value) values.network = from.value;
    else if (set.value) values.label_set = set.value;
    else values.classes = classes.value.split(",").map((name) => name.trim()).filter(Boolean);
    const saved = this.state ? this.state.saved.length : 0;
    if (saved && !confirm(`The labels of ${saved} frames of ${this.state.video.name} go. Download them first to keep them. Go on?`)) return;
    await this._follow(await post("api/labelling", values));
    if (this.last.state !== "done") return;
    this._leaveFrame();
    await this._opened((await json("api/labelling")).labelling);
  }

  async _opened(state) {
    const key = [state.video.name, state.width, state.height, state.frames, state.classes.map((one) => one.name).join()];
    this.drafts = new Drafts(key.join("|"));
    this.pictures.clear();
    if (this.result) this.result.close();
    this.result = null;
    this.$(".beginning").hidden = true;
    this.$(".labelling").hidden = false;
    this.$(".another input").max = state.frames - 1;
    await this._update(state);
    if (state.runs) await this._compare(state.changed.indexOf(Math.max(...state.changed)));
  }

  async _update(state) {
    this.state = state;
    const { saved, pending, runs } = state;
    this.waiting = await this.drafts.frames().catch(() => []);
    this.$(".title").textContent = `${state.video.name}: ${state.frames} frames, ${saved.length} labelled`;
    this.$(".notes").textContent = state.notes.join("; ");
    this.$(".command").textContent = state.command;
    this.$(".pending").textContent = !saved.length ? "Label a frame first."
      : pending.length || !runs ? `${pending.length || saved.length} labelled since the last run` : "Nothing new since the last run.";
    this.$(".download").hidden = !saved.length;
    this.$(".remove").hidden = !saved.includes(this.frame);
    this._proposals();
  }

  _proposals() {
    const { proposals, saved, by_network: network, runs } = this.state;
    const known = new Map(proposals.map((one) => [one.frame, one]));
    const others = [...new Set([...saved, ...this.waiting])].filter((frame) => !known.has(frame)).sort((a, b) => a - b);
    const buttons = [...known.keys(), ...others].map((frame) => {
      const one = known.get(frame), button = document.createElement("button"), words = [];
      if (one && (network || runs)) words.push(`expected error ${percent(one.expected_error)}`);
      if (this.waiting.includes(frame)) words.push("not saved");
      else if (saved.includes(frame)) words.push("labelled");
      button.type = "button";
      button.dataset.frame = frame;
      button.setAttribute("aria-pressed", frame === this.frame);
      const picture = document.createElement("img"), text = document.createElement("span"), note = document.createElement("small");
      picture.alt = "";
      picture.src = `api/labelling/frames/${frame}`;
      text.textContent = `Frame ${frame}`;
      note.textContent = words.join(", ");
      button.append(picture, text, note);
      return button;
    });
    this.$(".proposals").replaceChildren(...buttons);
    const next = proposals.find((one) => !saved.includes(one.frame));
    this.$(".next").disabled = !next;
    this.$(".next").textContent = next ? `Next proposal: frame ${next.frame}` : "No further proposal";
    this.next = next ? next.frame : null;
  }

  // ── A frame ──

  async _picture(frame) {
    if (!this.pictures.has(frame)) {
      const image = new Image();
      image.src = `api/labelling/frames/${frame}`;
      await image.decode().catch(() => answer(image.src).then(() => { throw new Error(`frame ${frame} cannot be shown`); }));
      this.pictures.set(frame, image);
      if (this.pictures.size > 24) this.pictures.delete(this.pictures.keys().next().value);
    }
    return this.pictures.get(frame);
  }

  /** Labels of a frame; null where there are none. */
  async _labels(frame, origin) {
    if (origin === "nothing") return null;
    const response = await answer(`api/labelling/frames/${frame}/labels/${origin}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  _origins(frame) {
    const { saved, runs, by_network: network } = this.state;
    return [saved.includes(frame) && "saved", runs && "after", network && "network", "nothing"].filter(Boolean);
  }

  async _openFrame(frame) {
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.state.frames) {
      throw new Error(`frame ${frame}; expected 0 to ${this.state.frames - 1}; choose one of the video`);
    }
    await this._keepDraft();
    const origins = this._origins(frame), draft = await this.drafts.get(frame).catch(() => undefined);
    const labels = draft || await this._labels(frame, origins[0]), picture = await this._picture(frame);
    this.frame = frame;
    this.$(".painting").hidden = false;
    this.editor ||= createEditor(this.$(".editor"), { classes: this.state.classes, onChange: () => this._changed() });
    this.editor.open(picture, this.state.width, this.state.height, labels);
    this.$(".frame-title").textContent = `Frame ${frame}, from ${draft ? "what was painted and not saved" : WORDS[origins[0]]}`;
    this.$(".origin").replaceChildren(...origins.map((origin) => new Option(WORDS[origin], origin)));
    this.$(".another input").value = frame;
    this.$(".remove").hidden = !this.state.saved.includes(frame);
    this._proposals();
    this.$(".painting").scrollIntoView({ block: "start" });
    this.$(".editor-canvas").focus({ preventScroll: true });
  }

  _leaveFrame() {
    if (this.editor) this.editor.close();
    this.editor = this.frame = null;
    this.$(".painting").hidden = true;
  }

  _changed() {
    clearTimeout(this.timer);
    this.unkept = true;
    this.timer = setTimeout(() => this._keepDraft(), DRAFT_DELAY_MS);
  }

  /** What is painted goes into this browser's store. */
  async _keepDraft() {
    clearTimeout(this.timer);
    if (!this.unkept) return;
    this.unkept = false;
    const frame = this.frame;
    try {
      await this.drafts.put(frame, this.editor.labels());
    } catch {
      this._complain("this browser keeps no drafts (private window, or no room): save labels before you leave the page");
    }
    if (!this.waiting.includes(frame)) {
      this.waiting.push(frame);
      this._proposals();
    }
  }

  async _save() {
    const { frame } = this, labels = this.editor.labels();
    await this._keepDraft();
    const done = await json(`api/labelling/frames/${frame}/labels/saved`, { method: "PUT", body: labels });
    if (this.frame === frame && !this.unkept) await this.drafts.remove(frame).catch(() => {});
    await this._update(done.labelling);
    this._say(`Labels of frame ${frame} saved.`);
  }

  async _startAgain() {
    const origin = this.$(".origin").value, labels = await this._labels(this.frame, origin);
    this.editor.replace(labels || new Uint8Array(this.state.width * this.state.height).fill(UNKNOWN));
    this._say(`Frame ${this.frame} starts again from ${WORDS[origin]}; undo takes that back.`);
  }

  async _remove() {
    const { frame } = this;
    if (!confirm(`Remove the saved labels of frame ${frame}? What is in the editor stays.`)) return;
    this._changed();
    await this._keepDraft();
    await this._update((await json(`api/labelling/frames/${frame}/labels/saved`, { method: "DELETE" })).labelling);
    this._say(`Saved labels of frame ${frame} removed.`);
  }

  async _load(files) {
    const frames = [], faults = [], chosen = [...files].filter((file) => /\.(png|zip|json|xml)$/i.test(file.name));
    if (!chosen.length) throw new Error("no label files; expected PNG files, a zip file of them or an export; choose others");
    for (const file of chosen) {
      this._say(`Loading ${file.name} ...`);
      try {
        const path = `api/labelling/files?name=${encodeURIComponent(file.name)}`;
        const done = await json(path, { method: "POST", body: file });
        frames.push(...done.frames);
        await this._update(done.labelling);
      } catch (error) {
        faults.push(error.message);
      }
    }
    this._say(frames.length ? `Labels of ${frames.length} frames loaded: ${frames.join(", ")}.` : "");
    if (frames.includes(this.frame) && !this.waiting.includes(this.frame)) await this._openFrame(this.frame);
    if (faults.length) throw new Error(faults.length === 1 ? faults[0] : `${faults.length} files were not loaded, the first: ${faults[0]}`);
  }

  // ── Propagation ──

  async _propagate() {
    if (this.unkept || this.waiting.includes(this.frame)) await this._save();
    await this._follow(await post("api/labelling/propagate"));
    if (this.last.state !== "done") return;
    await this._update((await json("api/labelling")).labelling);
    await this._compare(this.state.changed.indexOf(Math.max(...this.state.changed)));
    this._say(`Labels propagated to ${this.state.frames} frames.`);
    this.$(".result").scrollIntoView({ block: "start" });
    this.$(".next").focus({ preventScroll: true });
  }

  async _compare(frame) {
    const { state } = this, { changed, runs, by_network: network } = state;
    const mean = changed.reduce((sum, share) => sum + share, 0) / changed.length;
    const before = runs > 1 ? "last run" : network ? "network" : null;
    this.$(".result").hidden = false;
    this.$(".share").textContent = before ? `${percent(mean)} of all pixels changed (before: ${before}), ` +
      `in ${changed.filter((share) => share > 0).length} of ${changed.length} frames.` : `${percent(mean)} of all pixels have a class now.`;
    this.result ||= new Comparison(this.$(".comparison"), {
      classes: state.classes,
      load: async (at) => ({
        picture: await this._picture(at), after: await this._labels(at, "after"),
        before: this.before ? await this._labels(at, "before") : null,
      }),
      onFrame: (at) => { this.$(".this").textContent = `Label frame ${at}`; },
    });
    this.before = before;
    const { width, height, saved } = state;
    await this.result.open({ width, height, changed, before, labelled: saved, frame });
  }

  /** Shows the progress of a job until it has ended; `last` is how it ended. */
  async _follow(job) {
    this.job = job.id;
    this.$(".working").hidden = false;
    this._busy(true);
    try {
      while (["waiting", "running"].includes(job.state)) {
        this._progress(job);
        await new Promise((resolve) => { setTimeout(resolve, 300); });
        job = await json(`api/jobs/${job.id}`);
      }
    } finally {
      this.job = null;
      this.$(".working").hidden = true;
      this._busy(false);
      this._say("");
    }
    this.last = job;
    if (job.error) throw new Error(job.error);
    if (job.state === "cancelled") this._say("Cancelled; what was saved is kept.");
  }

  _busy(on) {
    for (const name of [".propagate", ".beginning button", ".other"]) this.$(name).disabled = on;
  }

  _progress({ state, stage, done, total, place, seconds_left: left }) {
    const bar = this.$("progress");
    if (total) Object.assign(bar, { max: total, value: done }); else bar.removeAttribute("value");
    const words = state === "waiting" ? `waiting, ${place} before it` : `${stage}${total ? `, ${done} of ${total}` : ""}`;
    this.$(".progress-text").textContent = words + (left ? `, ${Math.ceil(left)} s left` : "");
    if (stage !== this.stage) this._say(`${this.stage = stage}`);
  }

  // ── Buttons ──

  _listen() {
    const { $, host } = this, on = (name, kind, work) =>
      $(name).addEventListener(kind, (event) => { event.preventDefault(); this._try(() => work(event)); });
    on(".beginning", "submit", () => this._begin());
    $(".beginning").addEventListener("change", () => this._fields());
    on(".back", "click", () => { $(".beginning").hidden = true; $(".labelling").hidden = false; });
    on(".other", "click", () => this._chooseVideo());
    on(".another", "submit", () => this._openFrame(Number($(".another input").value)));
    on(".proposals", "click", ({ target }) => {
      const button = target.closest("button");
      return button && this._openFrame(Number(button.dataset.frame));
    });
    on(".save", "click", () => this._save());
    on(".again", "click", () => this._startAgain());
    on(".remove", "click", () => this._remove());
    on(".propagate", "click", () => this._propagate());
    on(".this", "click", () => this._openFrame(this.result.frame));
    on(".next", "click", () => this._openFrame(this.next));
    on(".cancel", "click", () => this.job && post(`api/jobs/${this.job}/cancel`));
    for (const name of [".files", ".folder"]) on(name, "change", ({ target }) => this._load(target.files).finally(() => { target.value = ""; }));
    host.addEventListener("keydown", (event) => {
      if (!this.editor || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
      event.preventDefault();
      this._try(() => this._save());
    });
    addEventListener("pagehide", () => { this._keepDraft(); });
  }
}
