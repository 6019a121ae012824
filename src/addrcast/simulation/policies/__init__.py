"""Policies that decide how many addresses to hold idle: ours, the peers', the textbook's."""
