// The tab "Live": a camera, a stream or a video at its rate, with labels; what is dropped, and the latency.

import { cancel, follow, isAtWork, request } from "./api.js";
import { attempt, make } from "./page.js";
import { JobCard } from "./jobs.js";
import { Method } from "./method.js";

const OTHER = "";

export function start(panel, { setup, state, videos }) {
  const source = make("select", { "aria-label": "What to watch" });
  const address = make("input", { type: "text", placeholder: "camera:0 or rtsp://...", "aria-label": "Address" });
  const method = new Method(setup, { modes: false });
  const button = make("button", { type: "button", class: "primary" }, "Watch");
  const picture = make("img", { class: "live", alt: "The newest frame with its labels", hidden: true });
  const figures = make("p", { class: "now", "aria-live": "off" }), jobs = make("div");

  // What is chosen stays; else the newest video, unless an address stands there.
  function list() {
    const chosen = source.value, ids = videos.all.map((video) => video.id);
    source.replaceChildren(make("option", { value: OTHER }, "a camera or stream"),
      ...videos.all.map((video) => make("option", { value: video.id }, `${video.name}, at its rate`)));
    if (ids.includes(chosen)) source.value = chosen;
    else if (ids.length && !address.value) source.value = ids.at(-1);
    address.hidden = source.value !== OTHER;
  }
  videos.changed.addEventListener("change", list);
  source.addEventListener("change", () => { address.hidden = source.value !== OTHER; });
  list();

  function begin() {
    const what = source.value === OTHER ? { address: address.value } : { video: source.value };
    return request("/api/live", { ...what, ...method.values() });
  }

  async function watch(job) {
    const card = new JobCard(job.title, "", () => cancel(job), "Stop");
    jobs.replaceChildren(card.element);
    figures.textContent = "";
    button.disabled = true;
    try {
      const ended = await follow(job, (now) => {
        card.show(now);
        if (now.live && now.live.shown) figures.textContent = described(now.live);
        if (now.state === "running" && picture.hidden) { picture.hidden = false; picture.src = `/live/${job.id}`; }
      });
      if (ended.error) throw new Error(ended.error);
    } finally {
      button.disabled = false;
      card.element.remove();
      picture.removeAttribute("src");
      picture.hidden = true;
    }
  }
  button.addEventListener("click", () => attempt(async () => watch(await begin())));
  panel.append(make("fieldset", {}, make("legend", {}, "Source"), make("div", { class: "row" }, source, address)),
    method.element, make("div", { class: "row" }, button), jobs, figures, picture);

  const running = state.jobs.find((job) => job.kind === "live" && isAtWork(job));
  if (running) attempt(() => watch(running));
}

function described(live) {
  const of = live.source_rate === null ? "" : ` of ${live.source_rate}`;
  const latency = live.latency_ms.p50 === null ? "" : `; latency ${Math.round(live.latency_ms.p50)} ms (half of the frames), `
    + `${Math.round(live.latency_ms.p95)} ms (95%)`;
  const runs = live.network_runs ? `, network on ${live.network_runs}` : ", its first labels are to come";
  return `${live.rate === null ? "\u2013" : live.rate.toFixed(1)}${of} frames per second; `
    + `${live.shown} shown${runs}, ${live.dropped} dropped${latency}`;
}
