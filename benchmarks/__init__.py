"""Benchmarks of fastlogreg: one table of cases (``cases``), two runners (asv, pytest-benchmark)."""
