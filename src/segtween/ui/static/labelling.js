// Labelling frames and propagating their labels.

export function start(panel) {
  panel.textContent = "Label some frames of a video with: segtween propagate";
}
