"""Runs stages 4 and 5, one on each host, without any numeric library."""
