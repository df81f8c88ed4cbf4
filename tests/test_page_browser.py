"""The local page in a real browser: a picture goes in, its pixels come out; a hole is painted; bad files are named."""

import io
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from film_files import assert_marked
from PIL import Image
from test_apply_completion import checkpoint  # noqa: F401
from test_page import PATIENCE, App, photo, results  # noqa: F401

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)


@pytest.fixture(scope="module")
def app(tmp_path_factory, results, checkpoint) -> Iterator[App]:  # noqa: F811
    shutil.copytree(checkpoint.parent, results / "many/checkpoints")
    app = App(tmp_path_factory.mktemp("a page"), results)
    yield app
    app.end()
    assert not [*app.temporary.iterdir()]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(app, browser) -> Iterator:
    """The page; whatever it asks of another computer, and every error of its script, fails the test."""
    page, wrong = browser.new_page(), []
    page.on("request", lambda asked: asked.url.startswith((app.address, "blob:", "data:")) or wrong.append(asked.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(app.address)
    yield page
    page.close()
    assert not wrong


def finish(page) -> str:
    page.click("#run")
    page.locator("#said:has-text('Done.'), .failed #said").wait_for(timeout=PATIENCE * 1000)
    return page.inner_text("#said")


def shown(page, selector: str) -> np.ndarray:
    """Return what is seen of an element."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def test_a_picture_goes_in_and_comes_out_edited_and_marked(app, page, photo, tmp_path):  # noqa: F811
    page.select_option("#task", "bare")
    page.set_input_files("#input", photo)
    assert page.locator("#given img").get_attribute("alt") == "input: her.png"
    assert finish(page) == "Done."
    page.locator("#made img").wait_for()
    before, after = shown(page, "#given img"), shown(page, "#made img")
    height, width = after.shape[:2]
    nose = np.s_[int(0.4 * height) : int(0.45 * height), int(0.45 * width) : int(0.55 * width)]
    assert before.shape == after.shape and abs(before[nose] - after[nose]).mean() > 10
    assert abs(before[-20:, :20] - after[-20:, :20]).mean() < 1
    with page.expect_download() as started:
        page.click("#made a")
    started.value.save_as(tmp_path / started.value.suggested_filename)
    assert_marked(tmp_path / "her.png")
    page.goto("about:blank")  # what was made is given back
    page.wait_for_timeout(1500)
    assert not app.files()


def test_a_hole_is_painted_and_completed_there(page, photo):  # noqa: F811
    page.select_option("#task", "many/flow")
    page.set_input_files("#input", photo)
    page.locator("#given img").wait_for()
    page.get_by_role("button", name="Paint it on the picture").click()
    page.keyboard.press("Space")  # in the middle of the picture
    page.locator("fieldset:not([hidden]) input[name=count]").fill("2")
    assert finish(page) == "Done."
    assert page.locator("#samples button").count() == 2
    page.locator("#samples button").nth(1).press("Enter")
    assert page.locator("#made a").inner_text() == "Download her_02.png"
    seen = shown(page, "#beside figure:has-text('Map') img").mean(axis=2)
    side = len(seen)
    seen = seen[20:-20, 20:-20]  # without its round corners
    rows, columns = np.nonzero(seen > 128)
    assert abs(rows.mean() / seen.shape[0] - 0.5) < 0.02 and abs(columns.mean() / seen.shape[1] - 0.5) < 0.02
    assert (seen > 128).sum() / side**2 == pytest.approx(np.pi / 4 / 14**2, rel=0.2)


def test_a_bad_file_is_named_and_the_keyboard_is_enough(page, photo, tmp_path):  # noqa: F811
    (tmp_path / "broken.png").write_bytes(b"nothing of the kind")
    page.set_input_files("#input", tmp_path / "broken.png")
    page.locator("#said:has-text('cannot show')").wait_for()
    assert "not a picture" in finish(page)
    assert page.locator("#made").is_hidden()
    page.locator("#task").press("End")  # the last of all: masks are put on
    assert page.input_value("#task") == "occlude"
    page.set_input_files("#input", photo)
    page.locator("fieldset:not([hidden]) input[value=cloth]").press("Space")
    assert page.locator("fieldset:not([hidden]) input[value=cloth]").is_checked()
    page.locator("#run").press("Enter")
    page.locator("#made img").wait_for(timeout=PATIENCE * 1000)


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window_and_all_has_a_name(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for field in page.locator("select:visible, input:visible, button:visible").all():
        assert field.evaluate("(one) => one.labels?.length || one.innerText || one.ariaLabel"), field
