"""Marks scikit-learn's tests by the tables of the modules that load them.

A pattern in a table is the name of a test, or that and what its parameters read like:
``"test_dtype_match *-liblinear"``; stars stand for anything.
"""

from fnmatch import fnmatchcase

import pytest


def pytest_configure(config):
    for name in ("thread_unsafe", "no_check_spmatrix"):
        config.addinivalue_line("markers", f"{name}: a mark of scikit-learn's")


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own tests have by default."""
    return 42


def is_named(item, pattern):
    name, _, parameters = pattern.partition(" ")
    if not fnmatchcase(item.originalname, name):
        return False
    if not parameters:
        return True
    return hasattr(item, "callspec") and fnmatchcase(item.callspec.id, parameters)


def pytest_collection_modifyitems(config, items):
    marks = {"SKIPPED": pytest.mark.skip, "XFAILED": pytest.mark.xfail}
    unused = {}
    for item in items:
        module = getattr(item, "module", None)
        if not hasattr(module, "SKIPPED"):
            continue
        # scikit-learn's settings hold: a warning is no error where its tests don't say so
        item.add_marker(pytest.mark.filterwarnings("ignore"), append=False)
        for table, mark in marks.items():
            for reason, patterns in getattr(module, table).items():
                for pattern in patterns:
                    key = (module.__name__, table, pattern)
                    unused.setdefault(key, True)
                    if is_named(item, pattern):
                        item.add_marker(mark(reason=reason))
                        unused[key] = False
    stale = [" ".join(key) for key, value in unused.items() if value]
    if stale and not any("::" in argument for argument in config.args):
        raise pytest.UsageError("these name no test of scikit-learn's: " + "; ".join(stale))
