"""A third track, as small as one can be: how often a rule that sees no image names the right class."""
