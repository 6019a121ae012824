"""Forecasting libraries behind the engine type."""
