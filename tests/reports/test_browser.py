"""The page in a real browser: silent, offline, by keyboard and pointer, on a phone and on paper."""

import shutil

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2xyz

from srlit.reports import report_page
from srlit.utils.atomic import write_json
from tests.reports.samples import ROBUSTNESS, make_evaluation, make_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; skips where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} on PATH")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A report with every section."""
    folder = tmp_path_factory.mktemp("work")
    make_run(folder / "a_run_with_a_rather_long_name_such_as_sweeps_make")
    make_run(folder / "run", config=f"a_key: {'a_value_with_no_space_to_break_' * 2}\n")
    make_run(folder / "third")
    make_evaluation(folder / "evaluation")
    write_json(folder / "robustness.json", [ROBUSTNESS])
    steps = [{"weight": w / 4, "metrics": {"lpips_alex": 0.3 - w / 20}} for w in range(5)]
    write_json(folder / "interpolation.json", steps)
    path = folder / "report.html"
    path.write_text(report_page([folder], image_bytes=2**20, extremes=2), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser, file):
    """Opens the report; nothing may be told to the console or asked of a network."""
    contexts, told, asked = [], [], []

    def open_page(**options):
        context = browser.new_context(**{"viewport": DESK} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()] * len(contexts)


def split(page):
    """Where the divider stands, by what is painted: the share of the stage left of it."""
    stage = page.locator(".stage").first.bounding_box()
    divider = page.locator(".divider").first.bounding_box()
    return (divider["x"] + divider["width"] / 2 - stage["x"]) / stage["width"]


def pixels(page, place, tmp_path):
    path = tmp_path / "shot.png"
    page.locator(place).first.screenshot(path=path)
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK, {"width": 320, "height": 600}])
def test_nothing_is_wider_than_the_screen(open_page, size, scheme, tmp_path):
    page = open_page(viewport=size, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true })")
    root = "document.documentElement"
    assert page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]") == [size["width"]] * 2
    beyond = """[...document.querySelectorAll('body *')].filter(node =>
        !node.closest('.scroll, pre, .stage, .frame, .hidden, svg')
        && node.getBoundingClientRect().right > innerWidth + 1).map(node => node.outerHTML)"""
    assert page.evaluate(beyond) == []
    assert (pixels(page, "html", tmp_path)[:4, :4].mean() > 128) == (scheme == "light")


def test_the_keyboard_moves_the_divider_and_what_is_seen(open_page, tmp_path):
    page = open_page()
    assert split(page) == pytest.approx(0.5, abs=0.01)
    before = pixels(page, ".stage", tmp_path)
    page.locator("input[type=range]").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert split(page) == pytest.approx(0.7, abs=0.01)
    changed = np.abs(before - pixels(page, ".stage", tmp_path))
    width = before.shape[1]
    assert changed[:, : int(0.4 * width)].max() < 2
    assert changed[:, int(0.55 * width) : int(0.65 * width)].mean() > 2
    page.keyboard.press("End")
    assert split(page) == pytest.approx(1.0, abs=0.01)


def test_the_pointer_drags_the_divider(open_page):
    page = open_page()
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    assert split(page) == pytest.approx(0.25, abs=0.01)


def test_all_images_of_a_photo_zoom_and_pan_together_and_no_other(open_page):
    page = open_page()
    seen = """node => [...node.querySelectorAll('img')].map(
        image => getComputedStyle(image).transform.match(/[-\\d.]+/g).map(Number).map(
            (value, i) => i < 4 ? value : value / image.offsetWidth))"""
    first, second = (page.locator(".viewer").nth(i) for i in (0, 1))
    rest = second.evaluate(seen)
    first.locator("[data-zoom=in]").click()
    first.locator(".stage").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    images = np.array(first.evaluate(seen))
    assert len(images) == 2 + 5  # the stage's; LR, three runs, HR
    assert np.allclose(images, images[0], atol=1e-3)
    assert images[0][0] == pytest.approx(2.25)
    # From the centre, a tenth of the frame to the right.
    assert images[0][4] == pytest.approx(-2.25 * (0.5 - 0.5 / 2.25 + 0.1 / 2.25), abs=1e-3)
    assert second.evaluate(seen) == rest
    page.keyboard.press("0")
    assert np.allclose(first.evaluate(seen), [1, 0, 0, 1, 0, 0])


def test_either_side_shows_what_is_chosen(open_page, tmp_path):
    page = open_page()
    viewer = page.locator(".viewer").first
    for side, place in (("left", ".under"), ("right", ".over")):
        viewer.locator(f"select[data-side={side}]").select_option(label="HR")
        sources = (viewer.locator(image).last for image in (place, ".frame img"))
        assert len({image.get_attribute("src") for image in sources}) == 1
    # HR on both sides: no step where they meet, but for the divider itself.
    shown = pixels(page, ".stage", tmp_path)[20:60]
    middle = shown.shape[1] // 2
    assert np.abs(shown[:, middle + 4] - shown[:, middle - 4]).mean() < 12


def test_a_curve_tells_its_values_by_keyboard_and_pointer(open_page):
    page = open_page()
    chart = page.locator(".chart", has_text="lpips_alex").locator("svg[data-chart]").first
    tip = chart.locator("xpath=..").locator(".tip")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert tip.text_content().startswith("80\n")
    assert "run: 0.22" in tip.text_content()
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    assert tip.text_content().startswith("20\n")
    page.mouse.move(box["x"] - 40, box["y"] - 60)
    assert not tip.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_maps_can_be_read_on_every_colour(open_page, scheme):
    page = open_page(color_scheme=scheme)
    colours = page.evaluate("""() => {
        const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const rgb = colour => {
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1);
            return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const cell = document.querySelector('.map tbody td');
        return [...'qg'].flatMap(kind => [...Array(11).keys()].map(level => {
            cell.className = kind + level;
            const style = getComputedStyle(cell);
            return [rgb(style.color), rgb(style.backgroundColor)];
        }));
    }""")
    luminance = np.sort(rgb2xyz(np.array(colours) / 255)[..., 1])
    assert len({tuple(back) for _, back in colours}) > 15
    assert ((luminance[:, 1] + 0.05) / (luminance[:, 0] + 0.05)).min() >= 4


def test_without_scripts_and_on_paper_all_images_and_curves_are_there(open_page):
    without_scripts, paper = open_page(java_script_enabled=False), open_page()
    paper.emulate_media(media="print")
    for page in (without_scripts, paper):
        assert page.locator(".frame img").first.is_visible()
        assert page.locator(".curve").first.is_visible()
        assert not page.locator(".compare").first.is_visible()
    assert len(paper.pdf()) > 20_000


def test_a_text_that_became_an_element_would_still_do_nothing(browser, file, tmp_path):
    # What escaping is for is undone here, to see that the policy holds by itself.
    attack = '<script>document.title = "taken"</script><img src="x" onerror="document.title = 1">'
    path = tmp_path / "attacked.html"
    path.write_text(file.read_text(encoding="utf-8").replace("<main>", f"<main>{attack}"))
    page, refused = browser.new_page(), []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    assert page.title().endswith("· srlit")
    assert sum("Content Security Policy" in text for text in refused) >= 2
    page.close()
