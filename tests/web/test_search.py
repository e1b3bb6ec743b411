"""Search finds equations by name and functions by name, online and as files."""

import pytest

from tests.web import book

XAVIER = "chapters/initialization/xavier.html"
WANTED = {
    "eq-xavier-forward": f"{XAVIER}#equation-eq-xavier-forward",
    "batch_norm_backward": "reference.html#lib.norm.batch_norm_backward",
}


@pytest.mark.parametrize("words", WANTED)
def test_search_finds(page, home, words):
    page.goto(f"{home}intro.html")
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    result = page.locator(f'#search-results a[href*="{WANTED[words]}"]').first
    result.wait_for(timeout=10_000)
    result.click()
    place = WANTED[words].partition("#")[2]
    page.locator(f'[id="{place}"]').wait_for()
    assert book.HTML.as_uri() in page.url or home in page.url
