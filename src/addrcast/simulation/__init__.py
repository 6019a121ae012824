"""Models of the world, replay of traces, search for broken invariants."""
