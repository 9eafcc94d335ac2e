"""Exchange of results: verifying entries, exporting and importing attacked images."""
