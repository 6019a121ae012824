"""Roles as processes: how each starts, says that it is ready, waits for its store, drains and ends."""
