"""Shared by both tracks: suites, nets, training, entries, scores, tables, audits."""
