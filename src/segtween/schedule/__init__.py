"""Which frames are key frames.

| member | what it does |
| --- | --- |
| `fixed.FixedInterval` | every (interval + 1)th frame |
| `adaptive.Adaptive` | a budget of network runs, or of time, spent where reliability is lost fastest |
| `cuts.ResidualCuts` | finds scene cuts, which force a key frame |
"""
