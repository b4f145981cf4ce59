"""Tables for papers and documents (docs/figures.md).

| member | what it tells |
| --- | --- |
| `speed.intervals_table` | accuracy, speed and temporal consistency over intervals, at one scale |
| `speed.scales_table` | the same over scales, at one interval |
| `methods.methods_table` | every frame, every frame fused, each preset, offline: accuracy, TC, speed |
| `ablation.ablation_table` | what each part of a method brings |
| `budgets.budgets_table` | accuracy against network runs, with fixed and adaptive schedules |
| `delays.delays_table` | what it costs that scores of key frames arrive late |
| `propagation.propagation_table` | true labels of one frame in N, propagated to the others |
| `occlusion.occlusion_table` | how well occlusion is estimated, on the synthetic street's exact one |
| `plot.plot` | accuracy against speed, as PNG and SVG |

All but `occlusion_table` take `conditions.Conditions`: the data, and how every row is measured on them.
"""
