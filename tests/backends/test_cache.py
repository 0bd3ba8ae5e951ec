"""The disk cache: hit by the next process, never stale, and no obstacle where it can't be.

Each test has a cache folder and, where it edits sources, a copy of the package of its
own. The kernels used are the ones that compile fast.
"""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fastlogreg

SCRIPT = """
import json, sys
import numpy as np
from fastlogreg.backends import PassSpec
from fastlogreg.backends.numba import bind, jit
from fastlogreg.backends.numba.passes import kernels

for form in sys.argv[1].split(","):
    X = np.arange(12, dtype="float32" if form == "float32" else "float64").reshape(4, 3)
    if form == "csr":
        from scipy.sparse import csr_array

        X = csr_array(X)
    p = bind(X, None, None, None, PassSpec()).predict(np.zeros(4))
used = kernels.predict._compiled[{"float64": "d", "float32": "f", "csr": "di"}[form]]
print(json.dumps({
    "p": p.tolist(),
    "folder": None if jit.cache_folder() is None else str(jit.cache_folder()),
    "hits": sum(used.stats.cache_hits.values()),
    "misses": sum(used.stats.cache_misses.values()),
    "can_compile": "numba.np.npyimpl" in sys.modules,
}))
"""


def start(package_root, cache, form="float64", **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    return subprocess.Popen(
        [sys.executable, "-B", "-c", SCRIPT, form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=package_root,
        env={
            **clean,
            "PYTHONPATH": str(package_root),
            "NUMBA_CACHE_DIR": str(cache),
            **environment,
        },
    )


def finish(process):
    import json

    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return json.loads(out)


def run(*args, **kwargs):
    return finish(start(*args, **kwargs))


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may edit; returns the folder that holds it."""
    root = tmp_path / "copy"
    shutil.copytree(
        Path(fastlogreg.__file__).parent,
        root / "fastlogreg",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return root


def quarter_the_sigmoid(formulas):
    """Edit the formula and return the text from before."""
    text = formulas.read_text()
    edited = text.replace("larger = 1.0 / (1.0 + t)", "larger = 0.25 / (1.0 + t)")
    assert edited != text
    formulas.write_text(edited)
    return text


def test_the_second_process_hits_the_cache_and_an_edit_is_seen(package, tmp_path):
    cache = tmp_path / "cache"
    first = run(package, cache)
    assert (first["hits"], first["misses"]) == (0, 1)
    assert first["p"] == [0.5] * 4
    second = run(package, cache)
    assert (second["hits"], second["misses"]) == (1, 0)
    assert second["p"] == first["p"]
    assert first["can_compile"] and not second["can_compile"]  # 0.3 s of imports saved

    # The formula moves and the kernel's own file does not.
    formulas = package / "fastlogreg" / "backends" / "numba" / "formulas.py"
    text = quarter_the_sigmoid(formulas)
    third = run(package, cache)
    assert third["p"] == [0.125] * 4
    assert third["misses"] == 1
    assert third["folder"] != first["folder"]

    # And back: the first machine code is still there.
    formulas.write_text(text)
    fourth = run(package, cache)
    assert fourth["p"] == first["p"]
    assert fourth["hits"] == 1


def test_machine_code_is_loaded_and_then_other_compiled_in_one_process(package, tmp_path):
    cache = tmp_path / "cache"
    run(package, cache)
    then = run(package, cache, "float64,csr")
    assert then["p"] == [0.5] * 4
    assert (then["hits"], then["misses"], then["can_compile"]) == (0, 1, True)


def test_an_edit_in_a_sub_folder_is_seen(package, tmp_path):
    cache = tmp_path / "cache"
    numba = package / "fastlogreg" / "backends" / "numba"
    parts = numba / "parts"
    parts.mkdir()
    (parts / "__init__.py").write_text("")
    moved = (numba / "formulas.py").rename(parts / "formulas.py")
    (numba / "formulas.py").write_text(
        "import sys\n"
        "from fastlogreg.backends.numba.parts import formulas\n"
        "sys.modules[__name__] = formulas\n"
    )
    first = run(package, cache)
    assert (first["p"], first["misses"]) == ([0.5] * 4, 1)
    assert run(package, cache)["hits"] == 1

    quarter_the_sigmoid(moved)
    second = run(package, cache)
    assert (second["p"], second["misses"]) == ([0.125] * 4, 1)
    assert second["folder"] != first["folder"]


def test_processes_fill_a_fresh_cache_at_once(package, tmp_path):
    cache = tmp_path / "cache"
    forms = ("float32", "float64", "csr")
    for process in [start(package, cache, form) for form in forms]:
        assert finish(process)["p"] == [0.5] * 4
    for form in forms:
        again = run(package, cache, form)
        assert again["p"] == [0.5] * 4
        assert again["hits"] == 1


def test_without_a_writable_folder_nothing_is_cached(package, tmp_path):
    # Folders that can't be made, even by root: their parents are files.
    blocked = tmp_path / "file"
    blocked.write_text("")
    (package / "fastlogreg" / "backends" / "numba" / "__pycache__").write_text("")
    found = run(
        package,
        blocked / "cache",
        HOME=str(blocked),
        XDG_CACHE_HOME=str(blocked / "xdg"),
        LOCALAPPDATA=str(blocked / "appdata"),
    )
    assert found["folder"] is None
    assert found["p"] == [0.5] * 4
    assert textwrap.dedent(blocked.read_text()) == ""


def test_the_user_s_cache_setting_is_left_alone():
    import numba

    before = numba.config.CACHE_DIR
    import fastlogreg.backends.numba.passes.kernels  # noqa: F401

    assert numba.config.CACHE_DIR == before
