"""Decisions only: values and a clock reading in, values out; no input or output."""
