"""Tables for papers and documents (docs/figures.md).

| member | what it shows |
| --- | --- |
| `speed.intervals_table` | accuracy, speed and temporal consistency over intervals, at one scale |
| `speed.scales_table` | the same over scales, at one interval |
| `methods.methods_table` | every frame, every frame fused, each preset, offline: accuracy, TC, speed |
| `ablation.ablation_table` | each component switched off or made simpler |
| `budgets.budgets_table` | accuracy against network runs, with fixed and adaptive schedules |
| `delays.delays_table` | the cost of delayed scores of key frames |
| `codec.codec_table` | flow from a video's motion vectors against estimated flow, on clips coded for it |
| `propagation.propagation_table` | true labels of one frame in N, propagated to the others |
| `occlusion.occlusion_table` | accuracy of occlusion estimates, on the synthetic street |
| `plot.plot` | accuracy against speed, as PNG and SVG |

All but `occlusion_table` take `conditions.Conditions`: the data, and how every row is measured on them.
"""
