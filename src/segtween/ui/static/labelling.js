// The tab "Label frames": which video is labelled, and from what labelling begins.

import { cancel, follow, isAtWork, request } from "./api.js";
import { unsaved } from "./drafts.js";
import { JobCard } from "./jobs.js";
import { LabelledVideo } from "./labelled_video.js";
import { attempt, counted, make } from "./page.js";
import { VideoPicker } from "./videos.js";

const OPENING = "labelling", PROPAGATION = "propagation";

export function start(panel, { setup, state, videos }) {
  const view = new Labelling(panel, setup, videos);
  const isOurs = (job) => [OPENING, PROPAGATION].includes(job.kind) && isAtWork(job);
  attempt(() => view.begin(state.jobs.find(isOurs)));
}

class Labelling {
  constructor(panel, setup, videos) {
    this.picker = new VideoPicker(videos);
    this.from = make("select", { "aria-label": "Begin from" },
      ...setup.networks.map((one) => make("option", { value: one.name }, `labels of ${one.name}`)),
      make("option", { value: "" }, "nothing"));
    this.set = make("select", { "aria-label": "Classes" });
    this.names = make("input", {
      type: "text", placeholder: "road, car, person", "aria-label": "Names of your classes, with commas between",
    });
    this.button = make("button", { type: "submit", class: "primary" }, "Open");
    const back = { type: "button", class: "plain", hidden: true, onclick: () => this.choose(false) };
    this.back = make("button", back, "Back to the open video");
    this.setRow = make("label", {}, "Classes ", this.set);
    this.note = make("div", { class: "row", hidden: true });
    this.form = make("form", {},
      make("p", { class: "note" },
        "Label a few frames and get labels for all of them, propagated along optical flow; no network is needed."),
      this.note, this.picker.element,
      make("fieldset", {}, make("legend", {}, "Labels"), make("div", { class: "choices" },
        make("label", {}, "Begin from ", this.from), this.setRow, this.names)),
      make("div", { class: "row" }, this.button, this.back));
    this.jobs = make("div");
    this.open = make("div", { class: "labelling" });
    panel.append(this.form, this.jobs, this.open);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); attempt(() => this.submit()); });
    this.form.addEventListener("change", () => this.fields());
    this.picker.onchange = () => this.fields();
  }

  /** As it is when the page is loaded; a job may be at work. */
  async begin(job) {
    const { labelling, label_sets: sets } = await request("/api/labelling");
    const option = (value, text) => make("option", { value }, text);
    this.set.append(...sets.map((name) => option(name, name)), option("", "my own"));
    this.fields();
    if (labelling) this.show(labelling);
    await this.remember(labelling ? labelling.id : null).catch(() => {});
    if (job) await this.watch(job, job.kind === OPENING);
  }

  /** Says what was painted in this browser and is not saved in the labelling `id`. */
  async remember(id) {
    const { words, forget } = await unsaved(id);
    this.note.hidden = !words.length;
    this.note.replaceChildren(
      make("span", {}, `This browser keeps labels that are not saved: ${words.join("; ")}. They are offered when the ` +
        "same video is opened with the same classes."),
      make("button", { type: "button", class: "plain", onclick: () => attempt(async () => {
        await forget();
        this.note.hidden = true;
      }) }, "Forget all"));
  }

  fields() {
    this.setRow.hidden = this.from.value !== "";
    this.names.hidden = this.from.value !== "" || this.set.value !== "";
    this.button.disabled = this.picker.video === null || this.busy === true;
  }

  async submit() {
    const values = { video: this.picker.video.id }, saved = this.video ? this.video.state.saved.length : 0;
    if (this.from.value) values.network = this.from.value;
    else if (this.set.value) values.label_set = this.set.value;
    else values.classes = this.names.value.split(",").map((name) => name.trim()).filter(Boolean);
    const question = `The saved labels of ${counted(saved)} are replaced. Download them first to keep them. Go on?`;
    if (saved && !confirm(question)) return;
    await this.watch(await request("/api/labelling", values), true);
  }

  /** Follows a job that opens a video, or propagates. */
  async watch(job, opens) {
    const ended = await this.follow(job);
    if (ended === "cancelled" && this.video) this.video.announce("Cancelled; what was saved is kept.");
    if (ended !== "done") return;
    const { labelling } = await request("/api/labelling");
    if (!opens) return this.video.propagated(labelling);
    this.show(labelling);
    this.open.querySelector(".title").focus();
  }

  /** Shows a job until it has ended; returns how. */
  async follow(job) {
    const card = new JobCard(job.title, "", () => cancel(job));
    this.jobs.append(card.element);
    this.work(true);
    try {
      const ended = await follow(job, (now) => card.show(now));
      if (ended.error) throw new Error(ended.error);
      return ended.state;
    } finally {
      card.element.remove();
      this.work(false);
    }
  }

  work(busy) {
    this.busy = busy;
    this.fields();
    if (this.video) this.video.work(busy);
  }

  show(labelling) {
    if (this.video) this.video.close();
    const actions = { run: (job) => this.watch(job, false), another: () => this.choose(true) };
    this.video = new LabelledVideo(this.open, labelling, actions);
    this.choose(false);
    attempt(() => this.video.begin());
  }

  /** Whether a video is to be chosen, or the open one shown. */
  choose(on) {
    this.form.hidden = !on;
    this.open.hidden = on;
    this.back.hidden = !this.video;
    if (on) this.form.after(this.jobs);
    else this.open.querySelector(".jobs").append(this.jobs);
  }
}
