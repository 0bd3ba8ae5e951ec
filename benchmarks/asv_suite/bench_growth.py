"""asv: time against rows at a fixed number of columns, and the exponent that fits it."""

from benchmarks import growth


class Rows:
    param_names = ("operation", "rows")
    params = (list(growth.OPERATIONS), growth.ROWS)
    repeat = (2, 10, 2.0)
    warmup_time = 0
    timeout = 300.0

    def setup(self, operation, rows):
        self.call = growth.call(operation, rows)
        self.call()  # compilation is not what is timed

    def time_operation(self, operation, rows):
        self.call()


class Exponent:
    param_names = ("operation",)
    params = (list(growth.OPERATIONS),)
    timeout = 300.0

    def track_exponent(self, operation):
        return growth.exponent(growth.measure(operation, growth.ROWS, 3.0))

    track_exponent.unit = "log(time) over log(rows)"
