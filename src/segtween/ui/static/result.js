// The result of a run: its figures, the player, the timeline, downloads, and how to do the same elsewhere.

import { request } from "./api.js";
import { make } from "./page.js";

let stop = () => {};

const code = (text) => make("pre", {}, make("code", {}, text));

/** A list of links to files of a run, and of further elements. */
export const links = (job, downloads, ...others) => make("ul", { class: "downloads" },
  ...downloads.map((one) => make("a", { href: `/files/${job.id}/${one.name}?save`, download: one.name }, one.title))
    .concat(others).map((one) => make("li", {}, one)));

/** Shows the result of the run `job` in `box`, instead of what is there. */
export async function showResult(box, job) {
  const result = await request(`/api/jobs/${job.id}/result`);
  stop();
  const player = make("div"), timeline = make("div"), figures = make("div");
  figures.innerHTML = result.figures;
  player.innerHTML = result.player;
  timeline.innerHTML = result.timeline;
  const page = make("a", { href: `/files/${job.id}/report.html`, target: "_blank", rel: "noopener" }, "Open the report");
  box.replaceChildren(
    make("h2", { id: "result", tabindex: "-1" }, result.title), figures,
    ...result.notes.map((note) => make("p", { class: "note" }, note)), player, make("h3", {}, "Timeline"), timeline,
    make("h3", {}, "Files"), links(job, result.downloads, page),
    make("p", { class: "note" }, `In ${result.folder}`),
    make("h3", {}, "The same on the command line and in Python"), code(result.command), code(result.python),
  );
  stop = window.startPlayer(result.data);
  document.getElementById("result").focus();
}
