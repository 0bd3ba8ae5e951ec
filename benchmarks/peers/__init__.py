"""Us and the peers, from loose to tight: time to reach a distance above the optimum.

``adapters`` knows how each peer is called, ``worker`` runs inside the peer's own environment,
``environments`` makes these, ``runner`` asks the workers and keeps time, and ``__main__`` is the
command. The first two import nothing but NumPy, SciPy and the peer. ``penalized`` has those that
fit L1 and the elastic net, for commands that call them in their own environment. ``beyond_memory``
has those for rows in files and on a cluster, each of which runs once.
"""
