"""Checks the links of built pages without the network: python .ci/links.py FOLDER.

What a page names within the folder must be there, and so must the place that follows the #; an
address elsewhere must be one. (Sphinx's linkcheck asks the network, and knows of no template's
links.)
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEMES = {"http", "https", "mailto"}


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that link and name."""
        for key, value in attrs:
            if value is None or (tag == "link" and dict(attrs).get("rel") == "canonical"):
                continue
            if key in ("href", "src"):
                self.links.append(value)
            elif key == "srcset":
                self.links += [part.split()[0] for part in value.split(",")]
            elif key == "id" or (key == "name" and tag == "a"):
                self.places.add(value)


def faults(folder: Path) -> Iterator[str]:
    """Yield a line for each link that leads nowhere."""
    folder = folder.resolve()
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path) for path in paths}  # not a theme's templates
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            where = f"{path.relative_to(folder)}: {link}"
            if link.startswith("data:"):
                continue
            if parts.scheme or parts.netloc:
                if parts.scheme not in SCHEMES or not (parts.netloc or parts.path):
                    yield f"{where}: no address"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(folder) or not target.exists():
                yield f"{where}: no such file"
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                yield f"{where}: no such place"
    if not pages:
        yield f"no pages in {folder}"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    print("\n".join(found) or "every link leads somewhere")
    sys.exit(bool(found))
