"""The house as the design draws it, read from the syntax trees."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastlogreg

PACKAGE = Path(fastlogreg.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the top; a module may import from its own floor's package and from floors below.
FLOORS = [
    ("fastlogreg.__main__",),
    ("fastlogreg.cli", "fastlogreg.cli.app"),
    ("fastlogreg.cli.compare", "fastlogreg.cli.files", "fastlogreg.cli.lecture"),
    ("fastlogreg.cli.measuring",),
    ("fastlogreg.io",),
    ("fastlogreg.linear_model", "fastlogreg.minibatch"),  # names of former releases
    ("fastlogreg.plots", "fastlogreg.plots.lecture"),  # a namespace: its names are lazy
    ("fastlogreg.statistics.formula",),
    ("fastlogreg.statistics.fitted",),
    ("fastlogreg.statistics.multinomial",),
    ("fastlogreg.statistics.results",),
    ("fastlogreg.statistics.firth", "fastlogreg.statistics.effects"),
    ("fastlogreg.statistics.in_parts",),
    ("fastlogreg.statistics.covariance", "fastlogreg.statistics.bootstrap"),
    ("fastlogreg.statistics.coordinates", "fastlogreg.statistics.profile"),
    ("fastlogreg.statistics.likelihood",),
    (
        "fastlogreg.statistics",
        "fastlogreg.statistics.tables",
        "fastlogreg.statistics.formula_support",
        "fastlogreg.statistics.frames",
    ),
    ("fastlogreg.estimators.cross_validation", "fastlogreg.estimators.path"),
    ("fastlogreg.estimators.fold_scores",),
    ("fastlogreg.estimators.logistic", "fastlogreg.estimators.minibatch", "fastlogreg.functional"),
    ("fastlogreg.estimators.linear_classifier", "fastlogreg.estimators.pieces"),
    ("fastlogreg.estimators", "fastlogreg.estimators.callbacks", "fastlogreg.estimators.input"),
    ("fastlogreg.plots.forests", "fastlogreg.plots.models"),
    ("fastlogreg.plots.axes",),
    ("fastlogreg.solvers.finish", "fastlogreg.solvers.descent"),
    (
        "fastlogreg.solvers.folds",
        "fastlogreg.solvers.leave_one_out",
        "fastlogreg.solvers.path",
    ),
    ("fastlogreg.solvers.auto", "fastlogreg.solvers.proximal", "fastlogreg.solvers.scoring"),
    ("fastlogreg.solvers.lbfgs",),
    ("fastlogreg.solvers.newton_cg",),
    ("fastlogreg.solvers.newton",),
    ("fastlogreg.solvers.box", "fastlogreg.solvers.plain"),
    ("fastlogreg.solvers.by_gap",),
    (
        "fastlogreg.solvers.loop",
        "fastlogreg.solvers.at_once",
        "fastlogreg.solvers.handover",
        "fastlogreg.solvers.quadratic",
    ),
    ("fastlogreg.solvers.convergence", "fastlogreg.solvers.unpenalized"),
    ("fastlogreg.solvers.direction", "fastlogreg.solvers.near"),
    ("fastlogreg.solvers",),
    ("fastlogreg.solvers.metric",),
    ("fastlogreg.solvers.curvature", "fastlogreg.solvers.search", "fastlogreg.solvers.trace"),
    ("fastlogreg.problem.centring", "fastlogreg.problem.firth", "fastlogreg.problem.sets"),
    ("fastlogreg.problem.problem",),
    ("fastlogreg.problem.columns",),
    ("fastlogreg.problem.moments",),
    ("fastlogreg.problem.layout", "fastlogreg.problem.penalties"),
    ("fastlogreg.problem",),
    (
        "fastlogreg.data.centred",
        "fastlogreg.data.class_separation",
        "fastlogreg.data.cluster",
        "fastlogreg.data.files",
    ),
    ("fastlogreg.data.weightless",),
    ("fastlogreg.data.labels", "fastlogreg.data.look", "fastlogreg.data.separation"),
    ("fastlogreg.data.schema",),
    ("fastlogreg.data.values",),
    ("fastlogreg.data.parts", "fastlogreg.data.tables"),
    ("fastlogreg.data", "fastlogreg.floating_point"),
    ("fastlogreg.backends",),
    ("fastlogreg.backends.loop", "fastlogreg.backends.numpy", "fastlogreg.backends.numba"),
    ("fastlogreg.backends.numba.minibatch.epochs",),
    ("fastlogreg.backends.numba.minibatch.batches",),
    (
        "fastlogreg.backends.numba.minibatch.one_margin",
        "fastlogreg.backends.numba.minibatch.single",
        "fastlogreg.backends.numba.minibatch.softmax",
    ),
    ("fastlogreg.backends.numba.minibatch.optimizers", "fastlogreg.backends.numba.minibatch.plan"),
    ("fastlogreg.backends.numba.minibatch.scales",),
    (
        "fastlogreg.backends.numba.minibatch",
        "fastlogreg.backends.numba.minibatch.order",
        "fastlogreg.backends.numba.minibatch.state",
    ),
    ("fastlogreg.backends.numba.passes.sets",),
    ("fastlogreg.backends.numba.passes.bound", "fastlogreg.backends.numba.passes.softmax"),
    ("fastlogreg.backends.numba.passes.rows",),
    ("fastlogreg.backends.numba.passes.readers",),
    (
        "fastlogreg.backends.numba.passes.plan",
        "fastlogreg.backends.numba.passes.small",
        "fastlogreg.backends.numba.passes.storage",
    ),
    (
        "fastlogreg.backends.numba.coordinates",
        "fastlogreg.backends.numba.threads",
        "fastlogreg.backends.numba.passes.kernels",
        "fastlogreg.backends.numba.passes.softmax_kernels",
        "fastlogreg.backends.numba.passes.sets_kernels",
    ),
    ("fastlogreg.backends.numba.passes",),
    ("fastlogreg.backends.numba.stages.products", "fastlogreg.backends.numba.extrapolation"),
    ("fastlogreg.backends.numba.stages",),
    ("fastlogreg.backends.numba.formulas", "fastlogreg.backends.numba.tiles"),
    (
        "fastlogreg.backends.numba.intrinsics",
        "fastlogreg.backends.numba.jit",
        "fastlogreg.backends.numba.vectors",
    ),
    ("fastlogreg.backends.limits", "fastlogreg.backends.numba.wide"),
]


def floor(module):
    """Return the floor of the longest name that the module is or lies in."""
    best = max(
        (
            (len(name), number)
            for number, names in enumerate(FLOORS)
            for name in names
            if module == name or module.startswith(name + ".")
        ),
        default=None,
    )
    return None if best is None else best[1]


def imports(path):
    """Return the full names that a file imports, with the line of each."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append((full if full in MODULES else node.module, node.lineno))
    return found


def ours(path):
    return [(n, at) for n, at in imports(path) if n.split(".")[0] == "fastlogreg"]


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downward(module):
    if module == "fastlogreg":
        return  # binds names lazily; what it may import is tested below
    here = floor(module)
    assert here is not None, f"{module} stands on no floor: add it to FLOORS"
    for name, line in ours(MODULES[module]):
        if name == "fastlogreg":  # the public names, for those who stand above them
            assert here < floor("fastlogreg.functional"), f"{module}:{line}"
            continue
        same_package = name.startswith(module + ".") or module.startswith(name + ".")
        there = floor(name)
        assert there > here or (there == here and same_package), f"{module}:{line} -> {name}"


@pytest.mark.parametrize("name", ["loop", "numpy"])
def test_the_witnesses_import_nothing_of_ours(name):
    assert ours(PACKAGE / "backends" / f"{name}.py") == []


def test_backends_are_reached_through_their_protocol():
    for module, path in MODULES.items():
        if module.startswith("fastlogreg.backends"):
            continue
        doors = {name for name, _ in ours(path) if name.startswith("fastlogreg.backends.")}
        assert not doors, module


def test_only_the_numba_backend_imports_numba():
    for module, path in MODULES.items():
        if module.startswith("fastlogreg.backends.numba"):
            continue
        roots = {name.split(".")[0] for name, _ in imports(path)}
        assert not roots & {"numba", "llvmlite"}, module


def test_nothing_imports_tests_or_benchmarks():
    for module, path in MODULES.items():
        roots = {name.split(".")[0] for name, _ in imports(path)}
        assert not roots & {"tests", "benchmarks"}, module


COMPILE_OPTIONS = {
    "boundscheck",
    "cache",
    "error_model",
    "fastmath",
    "forceinline",
    "inline",
    "nogil",
    "nopython",
    "parallel",
    "_nrt",
}
COMPILERS = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc", "jit_module"}


def test_only_jit_sets_compile_options():
    for path in (PACKAGE / "backends" / "numba").rglob("*.py"):
        if path.name == "jit.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                keywords = {k.arg for k in node.keywords} & COMPILE_OPTIONS
                assert not keywords, f"{path.name}:{node.lineno}: {keywords}"
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("numba", "nb"):
                assert node.attr not in COMPILERS, f"{path.name}:{node.lineno}: {node.attr}"
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("numba"):
                names = {alias.name for alias in node.names} & COMPILERS
                assert not names, f"{path.name}:{node.lineno}: {names}"


def test_no_kernel_takes_a_long_list_of_arguments():
    numba = PACKAGE / "backends" / "numba"
    most = {path: 8 for path in (numba / "minibatch").glob("*.py")}
    most |= {numba / "passes" / name: 12 for name in ("kernels.py", "softmax_kernels.py")}
    for path, number in most.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = {argument.arg for argument in node.args.args + node.args.kwonlyargs}
                assert len(names - {"self"}) <= number, node.name


def test_import_is_light():
    code = (
        "import sys, fastlogreg\n"
        "dir(fastlogreg)\n"
        "heavy = {'numba', 'sklearn', 'matplotlib', 'pandas', 'dask', 'pyarrow'}\n"
        "found = {*heavy, 'numpy', 'scipy', 'rich'} & set(sys.modules)\n"
        "assert not found, found\n"
        "fastlogreg.loss\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Logistic'"):
        _ = fastlogreg.Logistic
    assert set(fastlogreg.__all__) <= set(dir(fastlogreg))
