"""Services: the core driven by real clocks, stores and sockets."""
