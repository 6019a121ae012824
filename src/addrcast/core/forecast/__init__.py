"""Stage 1, history to quantiles: features, engines, calibration, scoring."""
