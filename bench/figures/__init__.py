"""Pictures drawn from stored entries."""
