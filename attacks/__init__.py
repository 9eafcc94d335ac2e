"""Attacks: one file a library, with named presets of parameters and float32 verification of every example."""
