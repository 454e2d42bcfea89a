"""Weights: which exist (records), where they lie (store, download), how they are read (files, load)."""
