"""Training a segmenter on single images, from labels and from a network that teaches."""
