"""Replay of a trace under many policies: the rules of the score, the comparison, its table."""
