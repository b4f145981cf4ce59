"""Training refinement by attention: a small network by which cells aggregate scores of cells around."""
