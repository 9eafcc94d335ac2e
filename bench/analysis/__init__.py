"""Numbers behind the figures: separation of features, semantics of gates."""
