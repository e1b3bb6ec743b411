"""Explorers answer to keyboard, mouse and touch, and say what they show.

What they compute equals Python: tests/test_explore*.py.
"""

import re

from playwright.sync_api import Locator, expect

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
        self.controls = self.element.locator("input, select")

    def state(self) -> tuple:
        key = self.slider.get_attribute("id")
        output = self.element.locator(f"output[for={key}]")
        drawing = self.element.locator("svg[role=img]")
        said = drawing.get_attribute("aria-label")
        return output.inner_text(), drawing.inner_html(), said

    def held(self) -> list:
        """What every control holds."""
        values = "all => all.map((e) => [e.value, e.checked, e.disabled])"
        return self.controls.evaluate_all(values)

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


def change(control: Locator) -> None:
    """A control no longer holds what it held at first."""
    kind = control.get_attribute("type")
    if kind == "number":
        control.fill("7")
    elif kind is None:
        control.select_option(index=1)
    elif kind != "range":
        control.click()
    elif control.is_enabled():
        control.press("Home")
        control.press("ArrowRight")


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
def test_reset_restores_every_control(page, name):
    explorer = Explorer(page, name)
    before = explorer.state(), explorer.held()
    for control in explorer.controls.all():
        change(control)
    assert explorer.held() != before[1]
    explorer.element.get_by_role("button", name="Reset").press("Enter")
    assert (explorer.state(), explorer.held()) == before


@book.pages(EXPLORERS)
def test_every_control_has_a_name(page, name):
    tree = Explorer(page, name).element.aria_snapshot()
    assert re.search(r'- slider "', tree)
    kinds = "button|checkbox|combobox|group|radio|radiogroup|slider|spinbutton"
    assert re.findall(rf"""- '?(?:{kinds})\b(?! ").*""", tree) == []
