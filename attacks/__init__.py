"""Attacks: one file per library, with named presets of parameters and float32 verification of every example."""
