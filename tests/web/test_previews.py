"""Previews of what links lead to: by mouse and keyboard, on a server and as files."""

import re

import pytest
from playwright.sync_api import expect

from tests.web import book

expect.set_options(timeout=15_000)  # for a busy machine
PAGE = "chapters/initialization/xavier.html"
HERE = "a.internal[href='#equation-eq-xavier-gradients']"
BOXES = ":is(.theorem, .exercise) > .admonition-title"
THERE = {  # a link to another page -> what its preview says
    "signals.html#thm-": "Theorem 1.",
    "signals.html#equation-": "(1.",
    "bibliography.html#": "Glorot",
}


@pytest.fixture
def preview(page, site):
    page.goto(site + PAGE)
    return page.locator("#preview")


def link(page, selector):
    return page.locator(f".bd-article {selector}").first


def test_shows_what_is_on_other_pages(page, home):
    page.goto(home + PAGE)
    for there, text in THERE.items():
        link(page, f"a.internal[href*='{there}']").hover()
        expect(page.locator("#preview")).to_contain_text(text)
        page.mouse.move(2, 2)
        expect(page.locator("#preview")).to_be_hidden()


def test_nothing_is_loaded_before_the_first_preview(page, home):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(home + PAGE, wait_until="networkidle")
    assert [url for url in asked if "_previews" in url] == []
    link(page, "a.internal[href*='bibliography.html#']").hover()
    expect(page.locator("#preview")).to_be_visible()
    assert [url for url in asked if "_previews" in url] == [
        f"{home}_previews/bibliography.html.js"
    ]


def test_shows_mathematics_with_its_number_and_no_second_id(page, preview):
    link(page, HERE).hover()
    expect(preview.locator(".katex")).not_to_have_count(0)
    expect(preview.locator(".eqno")).to_have_text(re.compile(r"\(3\.\d+\)"))
    assert preview.locator("[id]").count() == 0


def test_shows_figures(page, preview):
    link(page, "a.internal[href='#fig-xavier-alternating']").hover()
    image = preview.locator("img")
    expect(image).to_be_visible()
    page.wait_for_function("document.querySelector('#preview img').naturalWidth > 0")


def test_links_within_a_preview_lead_where_they_lead_on_their_page(page, preview, site):
    link(page, "a.internal[href*='signals.html#equation-']").hover()
    mark = preview.locator("a.verified").first
    expect(mark).to_be_visible()
    target = mark.evaluate("link => link.href")
    assert target.startswith(f"{site}chapters/normal/signals.html#check-eq-")


def test_the_keyboard_shows_and_hides(page, preview):
    target = link(page, HERE)
    target.evaluate("""link => {
      const all = [...document.querySelectorAll("a[href], button, summary")];
      all[all.indexOf(link) - 1].focus();
    }""")
    page.keyboard.press("Tab")
    expect(target).to_be_focused()
    expect(preview).to_be_visible()
    expect(preview).to_have_role("tooltip")
    assert target.get_attribute("aria-describedby") == "preview"
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    expect(target).to_be_focused()
    assert target.get_attribute("aria-describedby") is None
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(preview).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    expect(preview).to_be_hidden()
    target.focus()
    expect(preview).to_be_visible()
    page.keyboard.press("Enter")
    assert page.url.endswith("#equation-eq-xavier-gradients")
    expect(preview).to_be_hidden()


def test_stays_while_the_mouse_is_on_it_and_goes_when_it_leaves(page, preview):
    link(page, HERE).hover()
    expect(preview).to_be_visible()
    preview.hover()
    page.wait_for_timeout(600)
    expect(preview).to_be_visible()
    page.mouse.move(2, 2)
    expect(preview).to_be_hidden()


def test_a_link_passed_over_shows_nothing(page, preview):
    link(page, HERE).evaluate("""link => {
      const send = (name) => link.dispatchEvent(
        new PointerEvent(name, {pointerType: "mouse", bubbles: true}));
      preview.addEventListener("beforetoggle", () => link.dataset.shown = "yes");
      send("pointerover");
      setTimeout(send, 50, "pointerout");
    }""")
    page.wait_for_timeout(800)
    assert link(page, HERE).get_attribute("data-shown") is None


def test_a_click_follows_the_link(page, preview):
    link(page, HERE).hover()
    expect(preview).to_be_visible()
    link(page, HERE).click()
    assert page.url.endswith("#equation-eq-xavier-gradients")
    expect(preview).to_be_hidden()


@pytest.mark.parametrize("size", [book.WIDE, book.PHONE], ids=["wide", "phone"])
def test_fits_the_window(page, preview, size):
    page.set_viewport_size(size)
    links = page.locator(".bd-article a.internal:not(.headerlink)[href*='#']")
    for number in range(0, links.count(), 6):
        target = links.nth(number)
        place = target.get_attribute("href").partition("#")[2]
        if not re.match("equation-|thm-|fig-|id", place) or not target.is_visible():
            continue
        target.evaluate("link => link.scrollIntoView({ block: 'end' })")
        target.hover()
        expect(target).to_have_attribute("aria-describedby", "preview")
        box = preview.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= size["width"]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size["height"]
        page.keyboard.press("Escape")


def test_a_tap_follows_the_link(browser, site):
    context = browser.new_context(has_touch=True, viewport=book.PHONE)
    page = context.new_page()
    page.goto(site + PAGE)
    link(page, HERE).dispatch_event("pointerover", {"pointerType": "touch"})  # held
    page.wait_for_timeout(600)
    expect(page.locator("#preview")).to_be_hidden()
    link(page, HERE).tap()
    page.wait_for_timeout(600)
    assert page.url.endswith("#equation-eq-xavier-gradients")
    expect(page.locator("#preview")).to_be_hidden()
    context.close()


def test_code_folds_by_keyboard(page, site):
    page.goto(site + PAGE)
    fold = page.locator("details.fold").first
    expect(fold.locator("pre")).to_be_visible()
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(fold.locator("pre")).to_be_hidden()
    assert page.locator(".cell_input").count() == page.locator("details.code").count()


def test_copy_buttons_are_at_code_and_not_at_output(page, site):
    page.goto(site + PAGE)
    page.locator(".cell_input .copybtn").first.wait_for(state="attached")
    assert page.locator(".cell_output .copybtn").count() == 0
    button = page.locator("details.fold .copybtn").first
    button.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    expect(button).to_have_css("opacity", "1")


def test_what_is_numbered_has_a_permanent_link(page, site):
    page.goto(site + PAGE)
    for selector in ":is(h1, h2, h3)", ".eqno", "figure", BOXES:
        places = page.locator(f".bd-article {selector}")
        assert places.count() > 0
        assert places.filter(has_not=page.locator("a.headerlink")).count() == 0
    anchor = page.locator(".eqno a.headerlink").first
    expect(anchor).to_have_css("opacity", "0")
    anchor.hover()
    expect(anchor).to_have_css("opacity", "1")


def test_a_missing_page_is_said_to_be_missing(page, site):
    answer = page.goto(f"{site}chapters/none/nothing.html")
    assert answer.status == 404
    heading = page.locator(".bd-article h1")
    expect(heading).to_have_text("Page not found")
    page.get_by_role("link", name="Notation").first.click()
    expect(heading).to_contain_text("Notation")
