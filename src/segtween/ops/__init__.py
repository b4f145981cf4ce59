"""Array operations of the hot path.

| member | what it runs on |
| --- | --- |
| `cpu` | NumPy, OpenCV and Numba; kernels release the GIL and may run concurrently |
"""
