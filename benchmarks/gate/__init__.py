"""The gate against losses of speed: ``ratios`` measures and judges, ``__main__`` is the command.

``demo`` shows that it does what it is for.
"""
