"""What pytest-benchmark runs: ``pytest benchmarks``."""
