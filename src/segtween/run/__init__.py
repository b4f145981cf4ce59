"""Inputs from their first frame to their last output file.

| module | what it is |
| --- | --- |
| `session` | the one runner: a session of one input or several, labelled tick by tick |
| `lane` | one input of a session: prefetched, labelled, written asynchronously |
| `pipeline` | the threads that read and write |
| `inputs`, `options` | what can be run, resolved once; which outputs are wanted |
| `ending`, `summary` | how an input ends, and the summary of a run |
| `comparison` | another method on the same video at the same time |
| `propagation` | labels of some frames in, labels of every frame out |
| `kernels` | the compiled loops, made by several processes at once |
| `score_cache`, `calibration` | a network's scores, stored; its ranges for int8 |
"""
