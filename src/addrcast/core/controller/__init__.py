"""Runs stages 1 to 4: one machine that turns events into transactions."""
