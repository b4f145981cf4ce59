"""Training what refines labels between key frames: a small network by which cells take scores from cells around."""
