"""Classifiers with taps and gate positions, the nets that ship and their weights."""
