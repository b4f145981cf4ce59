"""Refinement of propagated scores, and their fusion with a key frame's fresh ones.

| member | what it does |
| --- | --- |
| `guided.GuidedRefinement` | refines propagated logits by guided spatially-varying convolution |
| `blend.Replace` | takes a key frame's scores alone (a baseline) |
| `blend.ReliabilityBlend` | blends in the propagated history where the motion explained the image |
"""
