"""Predictions: the file that this package writes, and reading and importing third-party files."""
