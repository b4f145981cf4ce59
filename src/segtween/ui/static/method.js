// How a video is run: network, interval, mode, classes.

import { make } from "./page.js";

let count = 0;

export class Method {
  /** `compares`: whether every frame may be run beside; `modes`: whether the mode is chosen. */
  constructor(setup, { compares = false, modes = true } = {}) {
    this.setup = setup;
    this.name = `method-${(count += 1)}`;
    this.network = make("select", {}, ...setup.networks.map((one) => make("option", {}, one.name)));
    this.every = make("input", { type: "number", min: "1", max: "60", value: "5" });
    this.modes = modes ? [this.radio("offline", "offline, from both sides", true), this.radio("online", "online, from the past", false)] : [];
    this.compare = compares ? make("input", { type: "checkbox", checked: true }) : null;
    this.classes = make("div", { class: "choices" });
    this.network.addEventListener("change", () => this.showClasses());
    const rows = [
      make("label", {}, "Network ", this.network),
      make("label", {}, "on one frame in ", this.every),
      ...this.modes.map((mode) => mode.label),
    ];
    if (this.compare) rows.push(make("label", {}, this.compare, "compare with the network on every frame"));
    this.element = make("fieldset", {}, make("legend", {}, "Method"), make("div", { class: "choices" }, ...rows),
      make("details", {}, make("summary", {}, "Classes"), this.classes));
    this.showClasses();
  }

  radio(value, words, checked) {
    const input = make("input", { type: "radio", name: this.name, value, checked });
    return { input, label: make("label", {}, input, words) };
  }

  showClasses() {
    const classes = this.setup.networks[this.network.selectedIndex].classes;
    this.boxes = classes.map((one) => make("input", { type: "checkbox", checked: true, value: one.name }));
    if (!classes.length) this.classes.replaceChildren("Known once the network is loaded: all of them are tinted.");
    else this.classes.replaceChildren(...classes.map((one, at) => make("label", {}, this.boxes[at],
      make("span", { class: "swatch", style: `background:${one.colour}` }), one.name)));
  }

  values() {
    const ticked = this.boxes.filter((box) => box.checked).map((box) => box.value);
    const mode = this.modes.find((one) => one.input.checked);
    return {
      network: this.network.value,
      every: Number(this.every.value),
      classes: ticked.length === this.boxes.length ? null : ticked,
      ...(mode ? { mode: mode.input.value } : {}),
      ...(this.compare ? { compare: this.compare.checked } : {}),
    };
  }
}
