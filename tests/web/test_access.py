"""The book for everyone: axe-core, a narrow screen, the dark, the keyboard."""

from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.web import book
from tests.web.book import OPEN

# What is wider than the screen, apart from what scrolls inside itself.
STICKING_OUT = """() => {
  const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflowX);
  const inside = (e) => e != document.body && (scrolls(e) || inside(e.parentElement));
  return [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    const shown = e.checkVisibility({ visibilityProperty: true });
    return shown && box.width > 1 && box.right > innerWidth + 1
      && !e.closest(".katex-mathml, .katex svg") && !inside(e.parentElement);
  }).map((e) => `${e.outerHTML.slice(0, 80)} ${e.getBoundingClientRect().right}`);
}"""

HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
  .filter((e) => e.checkVisibility()).map((e) => +e.tagName[1])"""
FILTERS = """() => [...document.querySelectorAll("article figure img")].map((e) =>
  [e.classList.contains("invert-dark"), getComputedStyle(e).filter])"""

# A page has some ten thousand elements, most of them glyphs and words of code, and the
# time that axe takes grows with each. One glyph stands for a formula and takes its
# room, one word for all of a kind in a block of code: nothing else has a colour.
SIMPLIFY = """() => {
  const formulas = [...document.querySelectorAll(".katex")];
  const boxes = formulas.map((e) => e.lastChild.getBoundingClientRect());
  formulas.forEach((e, i) => {
    e.textContent = "xx";  // axe passes over single letters
    e.style.display = "inline-block";
    e.style.width = `${boxes[i].width}px`;
    e.style.height = `${boxes[i].height}px`;
  });
  const kind = (word) => [word, word.parentNode, word.parentNode.parentNode]
    .map((e) => `${e.tagName}.${e.className}`).join();
  for (const block of document.querySelectorAll("pre, .sig")) {
    const seen = new Set();
    for (const word of block.querySelectorAll("span:not(:has(*))"))
      if (seen.has(kind(word))) word.replaceWith(word.textContent);
      else seen.add(kind(word));
    block.normalize();
  }
}"""
# Text of one colour, size and weight on one background has one contrast.
SAMPLE = """() => {
  const look = (e) => {
    const { color, fontSize, fontWeight, textDecorationLine } = getComputedStyle(e);
    return [color, fontSize, fontWeight, textDecorationLine, ...ground(e)].join();
  };
  const ground = (e) => {
    if (!e) return [];
    const { backgroundColor, backgroundImage, opacity, filter } = getComputedStyle(e);
    return [backgroundColor, backgroundImage, opacity, filter, ...ground(
      /^rgb\\(/.test(backgroundColor) ? null : e.parentElement)];
  };
  const seen = new Set();
  for (const e of document.body.querySelectorAll("*")) {
    e.removeAttribute("data-sample");
    const text = [...e.childNodes].some((n) => n.nodeType == 3 && n.data.trim());
    if (!text || !e.checkVisibility({ visibilityProperty: true })) continue;
    const link = e.closest("a");
    const key = look(e) + (link ? look(link.parentElement) + link.className : "");
    if (!seen.has(key)) e.setAttribute("data-sample", "");
    seen.add(key);
  }
}"""
COLOURED = ".katex-html [style*=color], .katex-html [class*=color]"
COLOURS = ["color-contrast", "link-in-text-block"]  # what a theme changes
FORMS = {"rules": {rule: {"enabled": False} for rule in COLOURS}}


def violations(page, within: str | None = None, **options) -> list[str]:
    found = Axe().run(page, within, {"resultTypes": ["violations"]} | options)
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found.response["violations"]
        for node in rule["nodes"][:4]
    ]


def resize(page, size: dict) -> None:
    page.set_viewport_size(size)
    page.wait_for_timeout(500)  # the theme needs 300


def choose(page, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    page.locator(f"html[data-theme={theme}]").wait_for()


@pytest.fixture(scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def opened(browser, browser_context_args, name):
    """A page as a file on a phone, with all that can be unfolded unfolded."""
    context = browser.new_context(**browser_context_args | {"viewport": book.PHONE})
    page = context.new_page()
    page.goto((book.HTML / name).as_uri())
    page.evaluate(OPEN)
    yield page
    context.close()


@pytest.fixture(scope="module")
def simple(opened):
    """The same, with fewer glyphs."""
    assert opened.locator(COLOURED).count() == 0
    opened.evaluate(SIMPLIFY)
    return opened


@book.pages(book.FILES, indirect=True, scope="module")
class TestEveryPage:
    """In this order: the last tests have fewer glyphs, and the last more room."""

    def test_headings_nest(self, opened):
        levels = opened.evaluate(HEADINGS)
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))

    def test_nothing_overflows_on_a_phone(self, opened):
        assert opened.evaluate(STICKING_OUT) == []
        assert opened.evaluate("document.scrollingElement.scrollWidth") <= 360

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_only_line_figures_are_inverted_in_the_dark(self, opened, theme):
        choose(opened, theme)
        for lines, style in opened.evaluate(FILTERS):
            inverted = "invert" in style and "hue-rotate(180deg)" in style
            assert inverted == (lines and theme == "dark")

    @pytest.mark.parametrize("size", [book.PHONE, book.WIDE], ids=["phone", "wide"])
    def test_axe_finds_nothing(self, simple, size):
        if simple.viewport_size != size:
            resize(simple, size)
        assert violations(simple, **FORMS) == []
        for theme in "light", "dark":
            choose(simple, theme)
            simple.evaluate(SAMPLE)
            assert violations(simple, "[data-sample]", runOnly=COLOURS) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
class TestWhatOpens:
    """Axe again, where something covers the page."""

    def test_search(self, page, theme):
        page.goto((book.HTML / "intro.html").as_uri())
        choose(page, theme)
        page.keyboard.press("Control+k")
        assert page.get_by_role("searchbox").is_visible()
        assert violations(page, "dialog[open]") == []

    def test_contents_on_a_phone(self, page, theme):
        page.set_viewport_size(book.PHONE)
        page.goto((book.HTML / "intro.html").as_uri())
        choose(page, theme)
        page.locator(".primary-toggle").click()
        page.get_by_role("link", name="Glossary", exact=True).wait_for()
        assert violations(page, "dialog[open]") == []

    @pytest.mark.parametrize("menu", ["launch", "source", "download"])
    def test_menus(self, page, theme, menu):
        page.goto((book.HTML / "chapters/normal/density.html").as_uri())
        choose(page, theme)
        button = page.locator(f".dropdown-{menu}-buttons")
        button.get_by_role("button").first.click()
        button.locator(".dropdown-menu").wait_for()
        assert violations(page, f".dropdown-{menu}-buttons") == []

    def test_no_page_of_this_name(self, page, site, theme):
        page.goto(f"{site}no-such-page.html")
        assert page.title().startswith("Page not found")
        choose(page, theme)
        assert violations(page) == []


HOVERED = ".bd-article li a", ".bd-sidebar-primary li a", ".right-next"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_link_under_the_pointer_can_be_read(page, theme):
    page.goto((book.HTML / "chapters/dropout/index.html").as_uri())
    choose(page, theme)
    for link in HOVERED:
        page.locator(link).first.hover()
        page.wait_for_timeout(300)  # while the colour changes
        assert violations(page, f"{link}:hover", runOnly=["color-contrast"]) == []


# The keyboard

REMEMBER = """() => {
  const look = (e) => {
    const { outline, boxShadow, borderColor, backgroundColor } = getComputedStyle(e);
    return [outline, boxShadow, borderColor, backgroundColor].join();
  };
  const all = (root) => [...root.querySelectorAll("*")]
    .flatMap((e) => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
  const kinds = "a[href], button, summary, input, select, textarea, [tabindex='0']";
  const shown = (e) => e.checkVisibility({ visibilityProperty: true })
    && e.getBoundingClientRect().width > 0;
  window.before = new Map(all(document).filter((e) => e.matches(kinds) && shown(e)
    && !e.disabled).map((e) => [e, look(e)]));
  window.reached = new Set();
  // What has the focus: false at the end; else whether that can be seen.
  window.here = () => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    if (!e || e == document.body || reached.has(e)) return { end: true };
    reached.add(e);
    e.getAnimations().forEach((a) => a.finish());
    const shown = e.checkVisibility({ opacityProperty: true });
    return { html: e.outerHTML.slice(0, 100), seen: shown && before.get(e) != look(e) };
  };
}"""
MISSED = "[...before.keys()].filter((e) => !reached.has(e)).map((e) => e.outerHTML)"


def walk(page) -> list[dict]:
    """Press Tab until nothing new gets the focus."""
    page.evaluate(REMEMBER)
    stops = []
    while True:
        page.keyboard.press("Tab")
        stop = page.evaluate("here()")
        if "end" in stop:
            return stops
        stops.append(stop)


@pytest.mark.parametrize("size", [book.WIDE, book.PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("name", ["intro.html", "chapters/normal/normal.html"])
def test_tab_reaches_everything_and_shows_where_it_is(page, name, size):
    page.set_viewport_size(size)
    page.goto((book.HTML / name).as_uri())
    stops = walk(page)
    assert "Skip to main content" in stops[0]["html"]
    assert page.evaluate(MISSED) == []
    assert [stop["html"] for stop in stops if not stop["seen"]] == []


@pytest.fixture
def reader(page, context, site):
    """A page with everything that a key can move."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site}chapters/normal/normal.html")
    return page


def test_key_skips_to_the_text(reader):
    reader.keyboard.press("Tab")
    reader.keyboard.press("Enter")
    assert reader.url.endswith("#main-content")
    reader.keyboard.press("Tab")
    assert reader.evaluate("!!document.activeElement.closest('main')")


def test_key_changes_the_theme(reader):
    switch = reader.locator(".theme-switch-button:visible").first
    seen = set()
    for _ in range(3):
        switch.press("Enter")
        seen.add(reader.locator("html").get_attribute("data-mode"))
    assert seen == {"auto", "dark", "light"}


def test_key_hides_the_contents(reader):
    contents = reader.locator(".bd-sidebar-primary")
    toggle = reader.locator(".primary-toggle:visible")
    for visible in False, True:
        toggle.press("Enter")
        state = "visible" if visible else "hidden"
        contents.get_by_role("link", name="Glossary", exact=True).wait_for(state=state)


def test_key_opens_search_and_leaves_it(reader):
    box = reader.get_by_role("searchbox")
    reader.locator(".search-button-field:visible").press("Enter")
    assert box.is_visible()
    reader.keyboard.press("Escape")
    assert not box.is_visible()


def test_key_opens_a_solution(reader):
    solution = reader.locator("details.solution").first
    solution.locator("> summary").press("Enter")
    assert solution.locator("> :not(summary)").first.is_visible()


def test_key_copies_code(reader):
    block = reader.locator(".cell_input .highlight:visible").first
    block.locator("button.copybtn").press("Enter")
    copied = reader.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == block.locator("pre").inner_text().strip()
