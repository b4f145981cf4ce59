// The videos of the session, and the choice of one of them: dropped, rendered, recorded, or here already.

import { cancel, follow, isAtWork, request, upload } from "./api.js";
import { alert, attempt, make } from "./page.js";
import { JobCard } from "./jobs.js";

/** All videos of the session, for every picker that shows them. */
export class Videos {
  constructor(videos, setup) {
    this.all = videos;
    this.most = setup.most_upload_bytes;
    this.changed = new EventTarget();
  }

  add(video) {
    this.all.push(video);
    this.changed.dispatchEvent(new CustomEvent("change", { detail: video.id }));
  }

  async remove(video) {
    await request(`/api/videos/${video.id}`, {}, "DELETE");
    this.all = this.all.filter((other) => other.id !== video.id);
    this.changed.dispatchEvent(new CustomEvent("change", { detail: this.all.length ? this.all.at(-1).id : null }));
  }
}

const described = (video) => {
  const length = video.frames && video.frame_rate ? `, ${(video.frames / video.frame_rate).toFixed(1)} s` : "";
  return `${video.width}x${video.height}${length}`;
};

let pickers = 0;

/** A fieldset to choose a video with. `video` is the chosen one, or null; `onchange` is called when it changes. */
export class VideoPicker {
  constructor(videos) {
    this.videos = videos;
    this.video = videos.all.at(-1) || null;
    this.onchange = () => {};
    this.name = `video-${(pickers += 1)}`;
    this.list = make("ul", { class: "videos" });
    this.jobs = make("div");
    this.file = make("input", { type: "file", accept: "video/*,.mkv,.avi,.ts,.y4m", "aria-label": "Choose a video file" });
    this.file.addEventListener("change", () => this.take(this.file.files));
    this.drop = make("label", { class: "drop" }, this.file, "Drop a video here, or press to choose one");
    for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      this.drop.addEventListener(kind, (event) => {
        event.preventDefault();
        this.drop.classList.toggle("over", over);
        if (kind === "drop") this.take(event.dataTransfer.files);
      });
    }
    this.element = make("fieldset", {}, make("legend", {}, "Video"), this.drop, this.others(), this.jobs, this.list);
    videos.changed.addEventListener("change", (event) => this.show(event.detail));
    this.show(this.video && this.video.id);
  }

  /** The demo street, and cameras and streams. */
  others() {
    const address = make("input", { type: "text", placeholder: "camera:0 or rtsp://...", "aria-label": "Camera or stream" });
    const seconds = make("input", { type: "number", min: "1", max: "120", value: "10", "aria-label": "Seconds to record" });
    const street = make("button", { type: "button", class: "plain", onclick: () => this.made({ street: 4 }) }, "Demo street");
    const record = () => this.made({ address: address.value, seconds: Number(seconds.value) });
    const button = make("button", { type: "button", class: "plain", onclick: record }, "Record");
    const words = (text) => make("span", { class: "faint" }, text);
    return make("div", { class: "row" }, words("or"), street, words("or a camera or stream"), address, words("for"), seconds,
      words("seconds"), button);
  }

  /** Sends files one after the other; those that are refused are said together. */
  async take(files) {
    const chosen = [...files], faults = [];
    this.file.value = "";
    alert();
    for (const file of chosen) {
      const ends = new AbortController(), card = new JobCard(file.name, "sending", () => ends.abort());
      this.jobs.append(card.element);
      try {
        const video = await upload(file, (share) => card.share(share), ends.signal);
        if (video) this.videos.add(video);
      } catch (error) {
        faults.push(error.message);
        alert(faults.join("; "));
      } finally {
        card.element.remove();
      }
    }
  }

  async made(values) {
    await attempt(async () => {
      await this.watch(await request("/api/videos/made", values));
    });
  }

  /** Follows what is rendered or recorded already, as when the page is loaded anew. */
  resume(jobs) {
    jobs.filter((job) => job.kind === "video" && isAtWork(job)).forEach((job) => attempt(() => this.watch(job)));
  }

  async watch(job) {
    const card = new JobCard(job.title, "", () => cancel(job));
    this.jobs.append(card.element);
    try {
      const ended = await follow(job, (now) => card.show(now));
      if (ended.state === "done") this.videos.add(ended.result);
      const fault = ended.error || (ended.result && ended.result.note);
      if (fault) throw new Error(fault);
    } finally {
      card.element.remove();
    }
  }

  show(chosen) {
    this.video = this.videos.all.find((video) => video.id === chosen) || null;
    this.list.replaceChildren(...this.videos.all.map((video) => this.line(video)));
    this.onchange();
  }

  line(video) {
    const radio = make("input", { type: "radio", name: this.name, checked: video === this.video });
    radio.addEventListener("change", () => { this.video = video; this.onchange(); });
    const remove = make("button", {
      type: "button", class: "plain", "aria-label": `Remove ${video.name}`,
      onclick: () => attempt(() => this.videos.remove(video)),
    }, "Remove");
    const save = make("a", { href: `/api/videos/${video.id}`, download: video.name, "aria-label": `Save ${video.name}` }, "Save");
    const label = make("label", {}, radio, video.name, make("span", { class: "faint" }, described(video)));
    return make("li", {}, label, save, remove);
  }
}
