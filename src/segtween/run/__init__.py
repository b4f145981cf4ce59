"""Inputs from their first frame to their last output file."""
