// The page: tabs, and the session that lives as long as the page speaks.

import { request } from "./api.js";
import { alert } from "./page.js";
import * as labelling from "./labelling.js";
import * as live from "./live.js";
import * as run from "./run.js";
import { Videos } from "./videos.js";

const SPEAK_MS = 15000;
const tabs = [...document.querySelectorAll('[role="tab"]')];

function select(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  tab.focus();
}

tabs.forEach((tab, at) => {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    select(tabs[(at + step + tabs.length) % tabs.length]);
  });
});

// A file that is dropped beside its field would take the place of the page.
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => {
    if (event.defaultPrevented || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  });
}

document.querySelector("#alert button").addEventListener("click", () => alert());
window.addEventListener("pagehide", () => navigator.sendBeacon("/api/session/leave"));

async function start() {
  const [setup, state] = await Promise.all([request("/api/setup"), request("/api/state")]);
  const videos = new Videos(state.videos, setup);
  for (const [name, view] of Object.entries({ run, live, labelling })) {
    view.start(document.getElementById(name), { setup, state, videos });
  }
  setInterval(() => request("/api/state").catch((error) => alert(error.message)), SPEAK_MS);
}

start().catch((error) => alert(error.message));
