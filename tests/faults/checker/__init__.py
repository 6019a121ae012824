"""What must hold of a run's history: the watch, the calls, the states between them, the tables of the hosts."""
