"""Training a segmenter on single images, from labels and by distillation."""
