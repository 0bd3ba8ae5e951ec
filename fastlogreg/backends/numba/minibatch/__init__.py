"""Mini-batches: the compiled loop, orders of rows, optimizers, plans."""
