"""Classifiers with taps and places for gates, the nets that ship and their weights."""
