"""The demo: three real fleets, one pool, an embedded store, a controller and three agents, in virtual time."""
