"""Stage 2, quantiles to addresses held ready: price, plan, aging."""
