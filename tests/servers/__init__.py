"""Real servers for tests, benchmarks and faults: started on free ports, watched for readiness, stopped."""
