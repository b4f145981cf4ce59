"""Tables for papers and documents (docs/figures.md).

| member | what it tells |
| --- | --- |
| `speed.intervals_table` | accuracy, speed and steadiness over intervals, at one scale |
| `speed.scales_table` | the same over scales, at one interval |
| `methods.methods_table` | every frame, every frame fused, each preset, offline: accuracy, steadiness, speed |
| `ablation.ablation_table` | what each part of a method brings |
| `budgets.budgets_table` | accuracy against network runs, with fixed and adaptive schedules |
| `propagation.propagation_table` | true labels of one frame in N, carried to the others |
| `occlusion.occlusion_table` | how well occlusion is estimated, on the synthetic street's exact one |
| `plot.plot` | accuracy against speed, as PNG and SVG |
"""
