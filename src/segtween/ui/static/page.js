// Small helpers of the page: elements, messages, times.

/** An element: `make("button", {class: "plain", onclick: f}, "text", child)`. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(key, value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Shows one line at the top of the page; without text, none. */
export function alert(text = "") {
  const box = document.getElementById("alert");
  box.hidden = !text;
  box.querySelector("span").textContent = text;
  if (text) box.scrollIntoView({ block: "nearest" });
}

/** Runs what may fail: an error is shown at the top of the page. Returns undefined then. */
export async function attempt(work) {
  try {
    alert();
    return await work();
  } catch (error) {
    alert(error.message);
    return undefined;
  }
}

/** So many frames, in words. */
export const counted = (frames) => `${frames} ${frames === 1 ? "frame" : "frames"}`;

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
