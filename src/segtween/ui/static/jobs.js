// What is seen of a job: its stage, how far it is, the time left, its place in the queue, and a button that ends it.

import { attempt, counted, duration, make } from "./page.js";

/** `cancelled` is called when the job is to end; without it there is no button, whose text is `end`. */
export class JobCard {
  constructor(title, stage, cancelled, end = "Cancel") {
    this.bar = make("progress", { "aria-label": `Progress of ${title}` });
    this.words = make("span", {}, stage);
    this.spoken = make("span", { class: "spoken", role: "status" });
    this.button = cancelled
      ? make("button", { type: "button", class: "plain", onclick: () => attempt(cancelled) }, end) : "";
    this.element = make("div", { class: "job" },
      make("div", { class: "head" }, make("strong", {}, title), this.button), this.bar, this.words, this.spoken);
  }

  share(value) {
    this.bar.value = value;
    this.words.textContent = `sending, ${Math.floor(100 * value)}%`;
  }

  show(job) {
    if (job.total) {
      this.bar.max = job.total;
      this.bar.value = Math.min(job.done, job.total);
    } else {
      this.bar.removeAttribute("value");
    }
    const words = described(job), quarter = job.total ? Math.floor((4 * job.done) / job.total) : 0;
    this.words.textContent = words;
    const step = `${job.state} ${job.place} ${job.stage} ${quarter}`;
    if (step !== this.step) this.spoken.textContent = words; // not at every frame
    this.step = step;
    this.bar.hidden = job.stage === "live";
    if (this.button) this.button.disabled = job.cancelling;
  }
}

function described(job) {
  if (job.cancelling) return "ending";
  if (job.state === "waiting") return job.place ? `waiting: ${job.place} before it` : "starting";
  const count = job.total ? `, ${job.done} of ${counted(job.total)}` : job.done ? `, ${counted(job.done)}` : "";
  const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
  return `${job.stage}${count}${left}`;
}
