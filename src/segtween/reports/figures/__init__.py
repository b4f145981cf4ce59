"""Pictures for papers and documents, drawn with NumPy and OpenCV (docs/figures.md).

| member | what it shows |
| --- | --- |
| `clip.clip_figure` | input, edge, prediction, occlusion, truth and flow side by side |
| `sequence.sequence_figure` | a key interval: inputs, the network on every frame, the method |
| `failures.failure_figure` | the worst frames of drives through the synthetic street, next to their truth |
| `curves.loss_figure` | how a training's loss fell (with Matplotlib) |
"""
