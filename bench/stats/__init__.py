"""Metrics from scores, and what a difference between two of them is worth."""
