"""Figures as ratios against a baseline or a limit taken in the same run; `make bench` runs them all."""
