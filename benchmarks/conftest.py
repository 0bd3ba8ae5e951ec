"""The commands are modules of ``benchmarks``, and not of the folder that they lie in."""

collect_ignore = ["commands"]
