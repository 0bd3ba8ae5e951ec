"""Passes over all rows: what is compiled, how rows are cut, rows bound to a pass."""
