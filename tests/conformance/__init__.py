"""scikit-learn's own tests on our estimators.

Nothing of them is copied: the test file of the installed scikit-learn is loaded under a name of its
own while our classes stand in the place of its classes. Each test module here says in two tables,
by reason, which of those tests are skipped (what they test is scikit-learn's alone) and which are
expected to fail (what ours can't do yet); a test of the second table that passes fails the run.

    pytest tests/conformance -rsx -q
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sklearn

MADE_FOR = "1.9"  # the scikit-learn whose tests the tables name


def load_tests_of(name, **classes):
    """Return scikit-learn's test module of that name, with these classes in sklearn.linear_model.

    Skips the calling module where the installed scikit-learn is of another minor version than the
    tables were made for, or has no tests.
    """
    if not sklearn.__version__.startswith(MADE_FOR + "."):
        pytest.skip(
            f"the tables were made for scikit-learn {MADE_FOR}, and this is {sklearn.__version__}",
            allow_module_level=True,
        )
    try:
        found = importlib.util.find_spec(f"sklearn.linear_model.tests.{name}")
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip("scikit-learn is installed without its tests", allow_module_level=True)
    private = f"{__name__}.sklearn_{name}"
    spec = importlib.util.spec_from_file_location(private, found.origin)
    module = importlib.util.module_from_spec(spec)
    sys.modules[private] = module  # classes of it are pickled
    with in_the_place_of_theirs(**classes):
        spec.loader.exec_module(module)
    return module


@contextmanager
def in_the_place_of_theirs(**classes):
    """Have these classes in sklearn.linear_model for a while."""
    import sklearn.linear_model as package

    theirs = {name: getattr(package, name) for name in classes}
    try:
        vars(package).update(classes)
        yield
    finally:
        vars(package).update(theirs)


def functions_of(module):
    """Return a module's tests by name."""
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    for test in tests.values():
        for mark in getattr(test, "pytestmark", ()):
            if mark.name == "parametrize" and isinstance(mark.args[1], Iterator):
                # newer releases of pytest warn of it
                object.__setattr__(mark, "args", (mark.args[0], list(mark.args[1]), *mark.args[2:]))
    return tests
