"""Video semantic segmentation: the network on key frames, optical flow in between."""
