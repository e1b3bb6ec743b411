"""The first screens are laid out first, and nobody sees that the rest comes later."""

import pytest

from tests.web import book
from tests.web.visit import visit

PAGE = book.heaviest(1)[0]
LATE = """() => [...document.querySelectorAll(".bd-article section section > *")]
  .filter((e) => getComputedStyle(e).contentVisibility == "auto").length"""
TOP = "(e) => e.getBoundingClientRect().top"
STOPS = """() => [...document.querySelectorAll("pre, .output")]
  .filter((e) => e.checkVisibility())
  .map((e) => [e.scrollWidth > e.clientWidth, e.tabIndex == 0])"""


@pytest.fixture
def late(browser, site):
    """A page of which nothing more is laid out than what is near the screen."""
    context = browser.new_context(java_script_enabled=False, viewport=book.PHONE)
    page = context.new_page()
    page.goto(site + PAGE)
    yield page
    context.close()


def laid_out(page):
    page.wait_for_function(f"({LATE})() == 0", polling=300)
    return page


def test_the_rest_comes_later_and_takes_its_place(page, late, site):
    assert late.evaluate(LATE) > 50
    page.set_viewport_size(book.PHONE)
    page.goto(site + PAGE)
    laid_out(page)
    left_out = late.locator(".bd-article section section > p").last
    there = page.locator(".bd-article section section > p").last
    assert there.evaluate(TOP) > left_out.evaluate(TOP) + 1000


@pytest.mark.parametrize("size", [book.WIDE, book.PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("place", [".eqno", ".exercise", "section[id]"])
def test_an_address_leads_to_its_place(page, home, size, place):
    page.set_viewport_size(size)
    page.goto(home + PAGE)
    box = ":is(div.math, .exercise, section)[id]"
    key = page.locator(f".bd-article {place}").last.evaluate(
        "(e, box) => e.closest(box).id", box
    )
    page.goto("about:blank")
    page.goto(f"{home}{PAGE}#{key}")
    target = laid_out(page).locator(f'[id="{key}"]')
    end = "() => scrollY + innerHeight >= document.scrollingElement.scrollHeight - 1"
    assert -5 < target.evaluate(TOP) < 160 or page.evaluate(end)
    assert target.evaluate(TOP) < size["height"]


def test_code_that_scrolls_can_be_reached(page, site):
    page.goto(site + PAGE)
    seen = set()
    for size in book.PHONE, book.WIDE:
        page.set_viewport_size(size)
        page.wait_for_timeout(500)
        stops = laid_out(page).evaluate(STOPS)
        assert [scrolls for scrolls, _ in stops] == [stop for _, stop in stops]
        seen |= {scrolls for scrolls, _ in stops}
    assert seen == {True, False}


@book.pages(book.heaviest(5))
def test_nothing_jumps_when_it_is_scrolled_at_once_on_a_phone(browser, site, name):
    seen = visit(browser, site + name, settle=False, viewport=book.PHONE)
    assert seen.shift < 0.05
