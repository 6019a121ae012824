"""Stage 3, addresses held ready to new instances: the choice, the retry, the answer."""
