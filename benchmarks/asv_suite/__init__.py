"""What asv runs: it imports every module of ``benchmarks`` and finds the classes here."""
