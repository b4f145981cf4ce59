// What is seen of a job: its stage, how far it is, the time left, its place in the queue, and a button that ends it.

import { attempt, duration, make } from "./page.js";

/** `cancelled` is called when the job is to end; without it there is no button. */
export class JobCard {
  constructor(title, stage, cancelled) {
    this.bar = make("progress", { "aria-label": `Progress of ${title}` });
    this.words = make("span", { "aria-live": "polite" }, stage);
    this.button = cancelled
      ? make("button", { type: "button", class: "plain", onclick: () => attempt(cancelled) }, "Cancel") : "";
    this.element = make("div", { class: "job" },
      make("div", { class: "head" }, make("strong", {}, title), this.button), this.bar, this.words);
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
    const words = described(job);
    if (this.words.textContent !== words) this.words.textContent = words;
    if (this.button) this.button.disabled = job.cancelling;
  }
}

function described(job) {
  if (job.cancelling) return "ending";
  if (job.state === "waiting") return `waiting: ${job.place} before it`;
  const count = job.total ? `, ${job.done} of ${job.total} frames` : job.done ? `, ${job.done} frames` : "";
  const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
  return `${job.stage}${count}${left}`;
}
