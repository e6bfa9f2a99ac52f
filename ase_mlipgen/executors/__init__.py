"""Executors by name: where labels are computed and rows of a fit are folded.

`named` turns "processes", "dask:tcp://login1:8786" or "executorlib:SlurmClusterExecutor" into a
`concurrent.futures.Executor`, and nothing ("serial") into None. Libraries are imported when they are asked for.
"""

from ase_mlipgen.executors.named import KINDS, NamedExecutor, is_remote, named, pickler_of, workers_of

__all__ = ["KINDS", "NamedExecutor", "is_remote", "named", "pickler_of", "workers_of"]
