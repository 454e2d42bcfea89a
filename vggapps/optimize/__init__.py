"""The loop that every room runs: leaves in, steps out."""
