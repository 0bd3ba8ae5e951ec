"""asv: the same work on 1, 2, ... all threads."""

from benchmarks import threads


class Threads:
    param_names = ("operation", "threads")
    params = (list(threads.OPERATIONS), list(threads.counts()))
    repeat = (2, 10, 2.0)
    warmup_time = 0
    timeout = 300.0

    def setup(self, operation, n_threads):
        self.call = threads.call(operation, n_threads)
        self.call()  # compilation is not what is timed

    def time_operation(self, operation, n_threads):
        self.call()
