"""Which frames are key frames.

| member | what it does |
| --- | --- |
| `fixed.FixedInterval` | every (interval + 1)th frame |
| `cuts.ResidualCuts` | finds scene cuts, which force a key frame |
"""
