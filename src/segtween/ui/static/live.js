// The tab "Live": a camera, a stream or a video at its rate, with labels.

export function start(panel) {
  panel.textContent = "";
}
