"""Explorers answer to keyboard, mouse and touch, and say what they show.

What they compute equals Python: tests/test_explore*.py.
"""

from playwright.sync_api import expect

from tests.web import book

EXPLORERS = book.holding('class="book-explorer"')


def test_there_are_five():
    assert len(EXPLORERS) == 5


class Explorer:
    """The first explorer of a page."""

    def __init__(self, page, name: str) -> None:
        page.goto((book.HTML / name).as_uri())
        page.evaluate(book.OPEN)
        self.page, self.element = page, page.locator(".book-explorer").first
        self.slider = self.element.locator("input[type=range]:enabled").first
        self.slider.scroll_into_view_if_needed()

    def state(self) -> tuple:
        key = self.slider.get_attribute("id")
        output = self.element.locator(f"output[for={key}]")
        drawing = self.element.locator("svg[role=img]")
        said = drawing.get_attribute("aria-label")
        return output.inner_text(), drawing.inner_html(), said

    def place(self, share: float) -> tuple[float, float]:
        """A point of the slider, from 0 at its left end to 1."""
        box = self.slider.bounding_box()
        return box["x"] + share * box["width"], box["y"] + box["height"] / 2

    def changes(self, act) -> None:
        """An act changes value, drawing and what is announced."""
        before = self.state()
        act()
        after = self.state()
        assert all(a != b for a, b in zip(before, after, strict=True))
        status = self.element.locator("[role=status]")
        expect(status).to_have_text(after[2], timeout=5000)


@book.pages(EXPLORERS)
def test_keyboard(page, name):
    explorer = Explorer(page, name)
    low = float(explorer.slider.get_attribute("min"))
    key = "ArrowLeft" if float(explorer.slider.input_value()) > low else "ArrowRight"
    explorer.changes(lambda: explorer.slider.press(key))


@book.pages(EXPLORERS)
def test_mouse(page, name):
    explorer = Explorer(page, name)

    def drag():
        page.mouse.move(*explorer.place(0.1))
        page.mouse.down()
        page.mouse.move(*explorer.place(0.9), steps=4)
        page.mouse.up()

    explorer.changes(drag)


@book.pages(EXPLORERS)
def test_touch(browser, name):
    phone = {"viewport": book.PHONE, "has_touch": True, "is_mobile": True}
    context = browser.new_context(**phone)
    explorer = Explorer(context.new_page(), name)
    explorer.changes(lambda: explorer.page.touchscreen.tap(*explorer.place(0.9)))
    context.close()


@book.pages(EXPLORERS)
def test_every_control_has_a_name_and_a_reset_button(page, name):
    explorer = Explorer(page, name)
    before = explorer.state()
    explorer.slider.press("End")
    explorer.slider.press("Home")
    explorer.element.get_by_role("button", name="Reset").press("Enter")
    assert explorer.state() == before
    for control in explorer.element.locator("input").all():
        assert control.evaluate("e => e.labels.length || !!e.ariaLabel")
