"""Looks at built pages as a phone shows them: python .ci/widths.py FOLDER.

At 390 pixels no page scrolls sideways, and no words run beyond the right edge, unless what holds
them (a block of code, a table) scrolls on its own. It needs Playwright and an installed Chromium,
and says so where they are not there.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 390
# of elements that hold words themselves
BEYOND = """
() => {
    const scrolls = element => {
        for (let at = element; !at.matches("article"); at = at.parentElement)
            if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return true;
        return false;
    };
    const own = element => [...element.childNodes].some(
        node => node.nodeType === Node.TEXT_NODE && node.textContent.trim()
    );
    const found = [...document.querySelectorAll("article *:not(.headerlink)")].filter(
        element => own(element)
            && element.getBoundingClientRect().right > innerWidth + 1
            && !scrolls(element)
    ).map(element => element.textContent.trim().slice(0, 60));
    if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
    return found;
}
"""


def faults(folder: Path, chromium: str) -> Iterator[str]:
    """Yield a line for each page whose words run beyond the edge."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        for path in sorted(folder.rglob("*.html")):
            if "_static" in path.parts:
                continue
            page.goto(path.resolve().as_uri(), wait_until="domcontentloaded")
            for words in page.evaluate(BEYOND)[:3]:
                yield f"{path.relative_to(folder)}: {words!r} is beyond {WIDTH} pixels"
        browser.close()


def chromium() -> str | None:
    """Return where the browser is, None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


if __name__ == "__main__":
    browser = chromium()
    if browser is None:
        print("no Chromium on this machine: nobody looked")
        sys.exit()
    found = list(faults(Path(sys.argv[1]), browser))
    print("\n".join(found) or "every page fits a phone")
    sys.exit(bool(found))
