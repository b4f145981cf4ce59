"""Networks as files.

| module | what it is |
| --- | --- |
| `records` | a segmentation network: graph, preprocessing, output, labels, provenance (`model.yaml` or a sidecar) |
| `finding` | its record by a shipped name, an `.onnx` file, a record file or a folder |
| `components` | graphs of flow and refinement, each with its record, and folders of them |
| `component_search` | the component that fits a preset: given by its user, shipped, or published elsewhere |
| `published` | where the weights of others are published |
| `weights` | stored weights (safetensors, or a manifest of random ones) to a graph that runs |
| `int8` | ranges of values that int8 needs |
| `shipped/` | the networks that travel in the wheel |
"""
