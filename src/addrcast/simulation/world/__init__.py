"""The actors of a simulated world, each driving the core that the real service drives."""
