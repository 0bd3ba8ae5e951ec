"""Checks what is in dist/: python .ci/contents.py [TAG]. The wheel has the package alone."""

import email
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# beside the package: what its tests and its site need
SOURCES = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"),
    *("SECURITY.md", "asv.conf.json", "tests/test_lecture.py", "benchmarks/README.md"),
    *("docs/conf.py", "docs/benchmarks/peers.json"),
}

(wheel,) = (ROOT / "dist").glob("*.whl")
(sdist,) = (ROOT / "dist").glob("*.tar.gz")
modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fastlogreg").rglob("*.py")}
package = modules | {"fastlogreg/py.typed"}

with zipfile.ZipFile(wheel) as archive:
    names = set(archive.namelist())
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    version = email.message_from_bytes(archive.read(metadata))["Version"]
info = {name for name in names if name.startswith(f"fastlogreg-{version}.dist-info/")}
assert names - info == package, sorted((names - info) ^ package)
with tarfile.open(sdist) as archive:
    inside = {name.partition("/")[2] for name in archive.getnames()}
missing = (package | SOURCES) - inside
assert not missing, sorted(missing)
if len(sys.argv) > 1:
    assert sys.argv[1] == f"v{version}", f"the tag {sys.argv[1]} is not v{version}"
for path in (wheel, sdist):
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")
