"""Detectors: one paper a file; `controls` holds the baselines that every claim has to beat."""
