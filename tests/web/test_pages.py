"""Every page on a first visit: what it fetches, what moves; and without scripts."""

import pytest

from tests.web import book
from tests.web.book import OPEN
from tests.web.visit import Visit, visit


def test_there_is_a_book():
    assert book.PAGES, "first: make book"


@pytest.fixture(scope="module")
def first(browser, site, name):
    return visit(browser, site + name, viewport=book.WIDE)


@pytest.fixture(scope="module")
def name(request):
    return request.param


@book.pages(book.PAGES, indirect=True, scope="module")
class TestFirstVisit:
    """At 1280 by 900, with an empty cache; then scrolled to the end."""

    def test_asks_nothing_of_another_host(self, first, site):
        assert first.elsewhere(site) == []

    def test_no_script_fails(self, first):
        assert first.errors == []

    def test_weighs_at_most_300_kilobytes(self, first):
        assert first.bytes <= 300_000

    def test_nothing_jumps(self, first):
        assert first.shift < 0.05

    def test_figures_are_fetched_when_they_are_near(self, first):
        far = [image for image in first.before if image["top"] > 4000]
        assert [image for image in far if image["loaded"]] == []
        assert [image for image in first.after if not image["loaded"]] == []

    def test_images_are_sharp_sized_and_described(self, first):
        for image in first.after:
            assert image["sized"], image["name"]
            assert image["alt"], image["name"]
            drawn = image["picture"] or image["shown"] == 0
            assert drawn or image["width"] >= 2 * image["shown"], image["name"]


@book.pages(book.FILES)
def test_asks_nothing_of_another_host_as_a_file(page, name):
    seen = Visit()
    seen.watch(page)
    page.goto((book.HTML / name).as_uri())
    seen.settle(page)
    assert seen.elsewhere(book.HTML.as_uri()) == []
    assert seen.errors == []


def test_the_empty_address_leads_to_the_book(page, site):
    page.goto(site)
    page.wait_for_url("**/intro.html")


# Signs behind formulas that stand at the beginning of a line.
LOOSE = """() => [...document.querySelectorAll("span.math")].filter((formula) => {
  const text = formula.nextSibling;
  return text?.nodeType == 3 && /^[,.;:)?!]/.test(text.data);
}).map((formula) => formula.textContent)"""
APART = """() => [...document.querySelectorAll(".sign")].filter((sign) => {
  const { bottom } = sign.previousSibling.getBoundingClientRect();
  return sign.getBoundingClientRect().top > bottom;
}).map((sign) => sign.parentElement.textContent)"""


@book.pages(["chapters/normal/variance.html", "chapters/cnn/sharing.html"])
def test_no_line_begins_with_a_sign_behind_a_formula(page, name):
    page.set_viewport_size(book.PHONE)
    page.goto((book.HTML / name).as_uri())
    page.evaluate(OPEN)
    assert page.locator(".sign").count() > 20
    assert page.evaluate(LOOSE) == []
    assert page.evaluate(APART) == []


SCROLLING = """() => [...document.querySelectorAll("div.cell_input pre")]
  .filter((code) => code.scrollWidth > code.clientWidth)
  .map((code) => code.textContent.slice(0, 80))"""


@pytest.mark.parametrize("width", [1200, 1280, 1341])
@book.pages(book.heaviest(2))
def test_code_has_room_between_the_side_bars(page, name, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((book.HTML / name).as_uri())
    assert page.locator(".bd-sidebar-secondary").is_visible()
    page.evaluate(OPEN)
    assert page.evaluate(SCROLLING) == []


WAYS = ".katex-display, .pst-scrollable-table-container, pre"
FADES = """(ways) => [...document.querySelectorAll(`.bd-article :is(${ways})`)]
  .filter((e) => e.checkVisibility())
  .map((e) => [e.scrollWidth > e.clientWidth,
    getComputedStyle(e).maskImage.includes("gradient")])"""
AT_END = """async (e) => {
  const fade = () => parseFloat(getComputedStyle(e).getPropertyValue("--fade"));
  const before = fade();
  e.scrollLeft = e.scrollWidth;
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  return [before, fade()];
}"""


@book.pages(["chapters/cnn/digits.html"])
def test_what_scrolls_fades_until_its_end(page, name):
    page.set_viewport_size(book.PHONE)
    page.goto((book.HTML / name).as_uri())
    page.evaluate(OPEN)
    fades = page.evaluate(FADES, WAYS)
    assert {scrolls for scrolls, _ in fades} == {True, False}
    assert all(scrolls == faded for scrolls, faded in fades)
    wide = page.locator(".cell_input pre").first
    before, after = wide.evaluate(AT_END)
    assert before > 20
    assert after == 0


# Without scripts

HIDDEN = """(selector) => [...document.querySelectorAll(selector)]
  .filter((e) => !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    || !e.getBoundingClientRect().width)
  .map((e) => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def still(browser, name):
    """A page as a file in a browser whose scripts are off."""
    context = browser.new_context(java_script_enabled=False, viewport=book.WIDE)
    page = context.new_page()
    page.goto((book.HTML / name).as_uri())
    yield page
    context.close()


@book.pages(book.FILES, indirect=True, scope="module")
class TestWithoutScripts:
    def test_navigation_is_there(self, still):
        contents = ".bd-sidebar-primary .toctree-l1 > a"
        assert still.locator(contents).count() > 10
        assert still.evaluate(HIDDEN, contents) == []

    def test_solutions_open(self, still):
        for solution in still.locator("details.solution").all():
            content = solution.locator("> :not(summary)").first
            assert not content.is_visible()
            solution.locator("> summary").click()
            assert content.is_visible()

    def test_mathematics_and_figures_are_seen(self, still):
        still.evaluate(OPEN)
        for selector in ".katex-html", "main figure img", ".book-explorer img":
            assert still.evaluate(HIDDEN, selector) == []
        formulas, marked = (still.locator(s).count() for s in (".katex", ".katex math"))
        assert formulas == marked
        for image in still.locator("main img[src*=_images], .book-explorer img").all():
            image.scroll_into_view_if_needed()
            assert image.evaluate("e => e.decode().then(() => e.naturalWidth > 0)")
