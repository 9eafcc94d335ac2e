"""What is passed on: entries that are verified, attacked images that others score too."""
