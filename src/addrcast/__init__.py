"""Predictive shadowing of private network addresses for clouds."""
