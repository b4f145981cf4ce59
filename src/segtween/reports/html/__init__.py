"""Reports as one HTML file each, without anything from the network; films lie beside it (docs/reports.md).

| module | what it is about |
| --- | --- |
| `run_page` | a run: player, timeline, least certain frames, method, how to repeat it |
| `evaluation_page` | an evaluation: accuracy by distance, classes, confusion, worst frames |
| `bench_page` | a measurement of speed: stages, share of the limit, machine |
| `study_page` | a table |
"""
