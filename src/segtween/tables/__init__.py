"""Tables for papers and documents (docs/figures.md).

| member | what it tells |
| --- | --- |
| `speed.intervals_table` | accuracy, speed and steadiness over intervals, at one scale |
| `speed.scales_table` | the same over scales, at one interval |
| `occlusion.occlusion_table` | how well occlusion is estimated, on the synthetic street's exact one |
| `plot.plot` | accuracy against speed, as PNG and SVG |
"""
