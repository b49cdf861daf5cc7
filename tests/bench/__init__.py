"""`make bench`: measures, and publishes what it measured in docs/benchmarks."""
