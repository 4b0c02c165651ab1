"""The page as text: what a run is called is text, and the policy admits nothing but the page."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from srlit.checkpoint.runs import read_record
from srlit.reports import report_page
from srlit.reports.axis import MINUS
from srlit.reports.page import digest
from srlit.utils.atomic import write_json
from tests.reports.samples import ROBUSTNESS, make_evaluation, make_run

VOID = {"meta", "img", "input"}
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp;'


class Elements(HTMLParser):
    """Every element with its attributes; unbalanced tags fail."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def page_of(*folders, image_bytes=2**20):
    return report_page(folders, image_bytes=image_bytes, extremes=2)


def change(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A page on runs, photos, keys and files whose names try to become elements."""
    folder = tmp_path_factory.mktemp("evil")
    make_run(folder / "plain", config="seed: 1\n")
    named = make_run(folder / "x", config=json.dumps({EVIL: EVIL})[1:-1] + "\n")
    named = named.rename(folder / EVIL.replace("/", "|"))
    change(named / "run.json", command=EVIL, status=EVIL)
    change(named / "best.json", rule=EVIL, metrics={f"psnr{EVIL}": 1.0})
    quoted = '"' + ("train/" + EVIL).replace('"', '""') + '"'
    photos = make_evaluation(folder / "evaluation", ("bicubic", EVIL)) / "photos.csv"
    rows = named / "metrics.csv"
    for path, old, new in ((rows, "train/raw/l1", quoted), (photos, "photo4.png", "<script>")):
        path.write_text(path.read_text().replace(old, new))
    (folder / "evaluation" / "table.md").write_text(EVIL)
    models = {EVIL: ROBUSTNESS["models"]["ours"]}
    axes = [{"name": EVIL, "values": [0, EVIL]}, ROBUSTNESS["axes"][1]]
    write_json(folder / "robustness.json", [ROBUSTNESS | {"models": models, "axes": axes}])
    write_json(folder / "interpolation.json", [{"weight": 0, "metrics": {EVIL: 1}}])
    (named / "panels" / "iteration_0000060.png").write_bytes(b"damaged")
    return page_of(folder)


def test_the_page_is_well_formed_and_no_name_becomes_an_element(evil):
    found = Elements(evil)
    scripts = [attributes for tag, attributes in found.elements if tag == "script"]
    assert all(a.get("type") == "application/json" for a in scripts[:-1])
    assert scripts[-1] == {}
    assert not any(
        name.startswith("on") or name == "style" for _, a in found.elements for name in a
    )
    images = [a for tag, a in found.elements if tag == "img" and "src" in a]
    assert images
    assert all(a["src"].startswith("data:image/webp") and len(a["alt"]) > 3 for a in images)
    # It was there, as text: in the heading, the table, the configuration, the warnings.
    places = {tag for tag, text in found.texts if "alert(1)" in text}
    assert {"li", "th", "td", "pre", "strong", "title", "option"} <= places


def test_data_for_the_script_is_json_again(evil):
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', evil, re.DOTALL)
    labels = {c["label"] for block in blocks for c in json.loads(block)["curves"]}
    assert any("<script>" in label for label in labels)


def test_the_policy_admits_the_style_and_the_script_by_their_hashes(evil):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', evil)
    (style,) = re.findall(r"<style>(.*?)</style>", evil, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", evil, re.DOTALL)
    assert policy.replace("&#39;", "'").split("; ")[:4] == [
        "default-src 'none'", "img-src data:",
        f"style-src '{digest(style)}'", f"script-src '{digest(script)}'",
    ]  # fmt: skip
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import", style)


def test_nothing_in_the_page_is_elsewhere_and_ids_are_unique(evil):
    found = Elements(evil).elements
    loading = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster"}
    addresses = [value for _, a in found for name, value in a.items() if name in loading]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert not {tag for tag, _ in found} & {"link", "base", "iframe", "object", "embed", "form"}
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {a[key] for _, a in found for key in ("aria-labelledby", "data-chart") if key in a}
    assert wanted <= set(ids)


def test_one_run_tells_its_gain_over_bicubic_and_marks_its_checkpoint(tmp_path):
    folder = make_run(tmp_path / "run")
    record = read_record(folder)
    record.changes = [{"iteration": 40, "key": "iterations", "before": 40, "now": 100}]
    record.write(folder)
    make_evaluation(tmp_path / "evaluation")
    page = page_of(folder)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main>")[0]))
    assert "<h1>run</h1>" in page
    assert f"lpips_alex 0.1800 {MINUS}0.0100 from bicubic&#39;s 0.1900" in text
    assert "60 selected: lowest lpips_alex" in text
    assert "took 12 min 34 s" in text
    assert "changed on the way iterations 40 → 100 at 40" in text
    assert page.count('class="mark t0"') == 2  # psnr and lpips
    assert ">0.2</text>" in page


def test_an_evaluation_alone_is_a_report(tmp_path):
    page = page_of(make_evaluation(tmp_path / "evaluation"))
    assert "<h1>evaluation</h1>" in page
    assert "photo4.png" in page


def test_a_run_that_just_started_is_a_report(tmp_path):
    folder = make_run(tmp_path / "run")
    (folder / "best.json").unlink()
    shutil.rmtree(folder / "panels")
    page = page_of(folder)
    assert "no checkpoint selected yet" in page
    assert 'class="mark' not in page


def test_a_sweep_shows_its_front(tmp_path):
    for i, (psnr, lpips) in enumerate([(25, 0.3), (26, 0.2), (24, 0.1), (23, 0.4)]):
        folder = make_run(tmp_path / f"run{i}", config=f"weight: {i}\n")
        change(folder / "best.json", metrics={"psnr_rgb_b0": psnr, "lpips_alex": lpips})
    page = page_of(tmp_path)
    assert re.search(r"best run</dt>\s*<dd class=\"value\">run2<", page)
    front = re.findall(r'class="point on">.*?</text>', page, re.DOTALL)
    assert [re.search(r">(run\d)<", point)[1] for point in front] == ["run1", "run2"]
    assert re.search(r"<th scope=\"row\">weight</th><td>0</td><td>1</td><td>2</td><td>3</td>", page)
