"""Stage 5, a host's view to the entries of its translation table."""
