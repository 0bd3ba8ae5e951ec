"""The report: every section is there, every chart is drawn in a browser, nothing is asked for."""

import json
import re
import shutil

import pytest

pytest.importorskip("typer")
pytest.importorskip("matplotlib")
from benchmarks.harness.stored import FOLDER
from benchmarks.report.__main__ import load
from benchmarks.report.page import as_html, as_markdown, as_png
from benchmarks.report.sections import SECTIONS

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def sections():
    return load(FOLDER)


@pytest.fixture(scope="module")
def page(sections):
    return as_html(sections)


def test_every_stored_file_has_a_section():
    sources = {section.source for section in SECTIONS}
    stored = {path.stem for path in FOLDER.glob("*.json")}
    assert stored
    assert stored <= sources


def test_it_stands_alone(page):
    asked = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert asked
    assert {link for link in asked if not link.startswith(("#", "data:,"))} == set()
    assert "@import" not in page


def test_its_ids_are_unique_and_its_links_lead_somewhere(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = re.findall(r'href="#([^"]+)"', page) + re.findall(r"url\(#([^)]+)\)", page)
    assert set(links) <= set(ids)


def test_every_chart_says_where_it_comes_from(sections, page):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    measured = [data for _, data in sections if data is not None]
    assert len(captions) == len(measured)
    for caption, data in zip(captions, measured, strict=True):
        for fact in ("cpu", "numba", "date"):
            assert str(data["machine"][fact]) in caption
        assert f"{data['machine']['n_threads']} thread" in caption
        assert data["command"].split()[0] in caption


def test_what_is_not_measured_names_the_command(tmp_path):
    sections = load(tmp_path)
    page, text = as_html(sections), as_markdown(sections)
    for section in SECTIONS:
        assert f"<code>{section.measured_by}</code>" in page
        assert f"Not measured: run `{section.measured_by}`" in text
    assert "<svg" not in page


def test_markdown_has_every_table(sections):
    text = as_markdown(sections)
    for section, data in sections:
        assert f"## {section.title}" in text
        if data is not None and section.table(data).rows:
            cells = section.table(data).rows[0]
            assert "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" in text


def test_png(sections, tmp_path):
    section, data = next((s, d) for s, d in sections if s.name == "vectorization")
    as_png(section, data, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes()[:4] == b"\x89PNG"


def test_names_of_the_roofline_hide_nothing():
    (section,) = (section for section in SECTIONS if section.name == "roofline")
    figure = section.chart(json.loads((FOLDER / "roofline.json").read_text()), False)
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if " x " in text.get_text()]
    assert len(texts) == 18
    boxes = [text.get_window_extent() for text in texts]
    for k, box in enumerate(boxes):
        assert box.count_overlaps(boxes[k + 1 :]) == 0, texts[k].get_text()


FIT = {"case": "a", "share": 10, "ours": 0.1, "above": 0.0, "passes": 3.0, "nonzeros": 2}
CUT = {**FIT, "case": "b", "peer": "", "best": None}
WITHIN = {
    **{"l1_ratio": 0.5, "peer": "saga", "best": 0.4},
    "within": {"1e-06": {"ours": {"seconds": 0.05}, "peer": {"seconds": 0.4}}},
}
DEFAULT = {"default": 60.0, "default_above": None, "default_off": None, "grid_search": 1.0}


@pytest.mark.parametrize(
    ("name", "rows", "concludes"),
    [
        (
            "class_fits",
            [{**FIT, **DEFAULT, "peer": "lbfgs", "best": 0.4}, {**CUT, **DEFAULT}],
            "4.0 x over scikit-learn's best solver within 1e-6 (1 of 2 cases), 600.0 x over",
        ),
        ("l1_fits", [{**FIT, "peer": "saga", "best": 0.4}, CUT], "4.0 x over the best peer"),
        ("l1_fits", [{**CUT, **WITHIN}, CUT], "8.0 x over the best peer within 1e-6 (1 of 2"),
        (
            "cross_validation",
            [{**FIT, **DEFAULT, "off": 0.0, "peer": "lbfgs", "best": 0.2}],
            "2.0 x over scikit-learn's best solver within 1e-4, 600.0 x over its default, 10.0 x",
        ),
        (
            "paths",
            [
                {**FIT, "run": "ours tol=1e-06", "seconds": 0.5, "gap": 0.0},
                {"case": "a", "run": "adelie", "seconds": 60.0, "cut": True},
            ],
            "ours at tol=1e-6: a 0.5 s",
        ),
        (
            "inference",
            [
                {**CUT, "cov_type": "HC0", "run": run, "seconds": seconds, "below": 0.0, "bse": 0.0}
                for run, seconds in (("flr.logit", 1.0), ("statsmodels formula", 3.0))
            ]
            + [{"case": "b", "cov_type": "HC0", "run": "glum", "error": "cut off after 60 s"}],
            "3.0 x over statsmodels from a formula",
        ),
        (
            "files",
            [
                {"case": "ours", "seconds": 1.0, "reads": 4.0, "peak_mb": 9.0, "above": 0.0},
                {"case": "in memory", "seconds": 1.0, "reads": 4.0, "above": 0.0},
                {"case": "SGD", "seconds": 1.0, "reads": 8.0, "above": 1e-3},
                {"case": "h2o", "seconds": 2.0, "reads": 40.0, "above": 0.0, "remark": "import"},
                {"case": "statsmodels", "reason": "cut off at 300 s"},
            ],
            "4.0 reads of the files and 9 MB; SGD 8.0, 1e-03 above the optimum; h2o 40.0.",
        ),
        (
            "cluster",
            [
                {"case": "in memory", "pass": 0.1, "fit": 1.0, "above": 0.0},
                {"case": "workers", "pass": 0.2, "fit": 3.0, "apart": 0.0, "above": 0.0},
                {"case": "workers, persisted", "fit": 2.0, "apart": 0.0, "above": 0.0},
                {"case": "dask-glm newton, persisted", "fit": 8.0, "apart": 0.0, "above": 1e-9},
                {"case": "dask-glm lbfgs, persisted", "reason": "cut off at 300 s"},
            ],
            "On persisted partitions, times of our fit: dask-glm newton 4.0.",
        ),
    ],
)
def test_what_was_cut_off_is_shown_and_left_out_of_means(name, rows, concludes):
    (section,) = (section for section in SECTIONS if section.name == name)
    table = section.table({"rows": rows})
    assert len(table.rows) == len(rows)
    assert {len(row) for row in table.rows} == {len(table.header)}
    assert concludes in section.concludes({"rows": rows})


def test_readme_and_site_show_sections_that_there_are():
    from benchmarks.report import readme

    names = {section.name for section in SECTIONS}
    assert {*readme.CHARTS, *readme.CONCLUSIONS, *readme.MORE} <= names


def test_plain_rows_of_any_kind_make_a_table(tmp_path):
    machine = json.loads((FOLDER / "compare.json").read_text())["machine"]
    rows = [{"case": "a <b>", "epoch_seconds": 0.0123456, "n": 1000, "peers": [1, 2], "x": None}]
    stored = {"machine": machine, "command": "python x", "rows": rows}
    (tmp_path / "minibatch.json").write_text(json.dumps(stored))
    page = as_html(load(tmp_path))
    assert "<td>a &lt;b&gt;</td><td>0.0123</td><td>1,000</td><td></td>" in page


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


VISIBLE = """
[...document.querySelectorAll("figure svg")].map(svg => {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(t => t.getBoundingClientRect());
    return {
        section: svg.closest("section").id, width: box.width, height: box.height,
        marks: svg.querySelectorAll("path, use").length,
        smallest: Math.min(...texts.map(t => Math.min(t.width, t.height))),
        outside: texts.filter(t => t.left < box.left - 2 || t.right > box.right + 2).length
    };
}).filter(found => found.width > 0)
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_every_chart_and_asks_for_nothing(
    browser, sections, page, tmp_path, width, scheme
):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    asked, said = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(path.as_uri())
    found = opened.evaluate(VISIBLE)
    across = opened.evaluate("document.documentElement.scrollWidth")
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()

    assert asked == [path.as_uri()]
    assert said == []
    assert across == width  # nothing sticks out
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    drawn = [s.name for s, data in sections if data is not None and s.chart is not None]
    assert [chart["section"] for chart in found] == drawn
    for chart in found:
        assert chart["width"] > min(300, 0.8 * width), chart
        assert chart["height"] > 80, chart
        assert chart["marks"] > 10, chart
        assert chart["smallest"] > 0, chart
        assert chart["outside"] == 0, chart
