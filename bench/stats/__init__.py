"""Metrics of scores, and the significance of their differences."""
