"""Objects of a notebook or script in a suite: detectors, attacks, a net and data that are registered nowhere."""
