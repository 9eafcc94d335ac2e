"""Attackers who know the detector: thresholds, outcomes of arms, the proof that they are strong enough."""
