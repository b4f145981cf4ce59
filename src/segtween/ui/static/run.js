// The tab "Run": a video, how it is run, how far the run is, and its result.

import { cancel, follow, isAtWork, request } from "./api.js";
import { attempt, make } from "./page.js";
import { JobCard } from "./jobs.js";
import { links, showResult } from "./result.js";
import { VideoPicker } from "./videos.js";
import { Method } from "./method.js";

export function start(panel, { setup, state, videos }) {
  const picker = new VideoPicker(videos);
  const method = new Method(setup, { compares: true });
  const button = make("button", { type: "button", class: "primary" }, "Run");
  const jobs = make("div"), earlier = make("div", { class: "row", role: "group", "aria-label": "Results" });
  const results = make("div", { id: "results" }), done = [];
  const enable = () => { button.disabled = picker.video === null; };
  picker.onchange = enable;
  enable();
  picker.resume(state.jobs);

  /** Shows the result of a run, and buttons for those of all runs where there are several. */
  async function show(job) {
    await showResult(results, job);
    if (!done.includes(job)) done.push(job);
    const buttons = done.map((one, at) => make("button", {
      type: "button", class: "plain", "aria-pressed": String(one === job), onclick: () => attempt(() => show(one)),
    }, `${at + 1}: ${one.title}`));
    earlier.replaceChildren(...(done.length > 1 ? buttons : []));
  }

  async function watch(job) {
    const card = new JobCard(job.title, "", () => cancel(job));
    jobs.append(card.element);
    try {
      const ended = await follow(job, (now) => card.show(now));
      card.element.remove();
      if (ended.state === "done") await show(ended);
      else jobs.append(await over(ended, ended.error || "cancelled"));
    } catch (error) {
      card.element.remove();
      throw error;
    }
  }

  button.addEventListener("click", () => attempt(async () => {
    const job = await request("/api/runs", { video: picker.video.id, ...method.values() });
    await watch(job);
  }));
  panel.append(picker.element, method.element, make("div", { class: "row" }, button), jobs, earlier, results);

  const runs = state.jobs.filter((job) => job.kind === "run");
  done.push(...runs.filter((job) => job.state === "done"));
  if (done.length) attempt(() => show(done.at(-1)));
  runs.filter(isAtWork).forEach((job) => attempt(() => watch(job)));
}

/** What remains of a run that did not come to its end. */
async function over(job, words) {
  const box = make("div", { class: "job", role: "status" });
  const close = make("button", { type: "button", class: "plain", onclick: () => box.remove() }, "Close");
  box.append(make("div", { class: "head" }, make("strong", {}, job.title), close), make("span", {}, words));
  if (job.result) {
    const { downloads } = await request(`/api/jobs/${job.id}/files`);
    if (downloads.length) box.append(make("span", { class: "faint" }, `What is done is in ${job.result.folder}`), links(job, downloads));
  }
  return box;
}
