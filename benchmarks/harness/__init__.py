"""What commands, runners, peers, gate and report share.

``problem`` (what is fitted), ``quality`` and ``extended`` (how good an answer is), ``timing``,
``resident`` (memory) and ``ceilings`` (what the machine can do at most), ``tables`` (showing),
``stored`` (the figures that are kept), ``options``, ``parquet`` and ``partitions`` (rows beyond
memory), and ``processes`` (calls with a limit). Rounds, data and the machine's description are
those of ``fastlogreg compare``: :mod:`fastlogreg.cli.measuring`.
"""
