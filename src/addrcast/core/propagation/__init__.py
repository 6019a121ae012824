"""Stage 4, records to each host's own view of them: mirrors and acknowledgements."""
