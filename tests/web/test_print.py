"""A page printed from the browser: solutions open, nothing of the interface."""

from tests.web import book


@book.pages(["chapters/normal/normal.html", "chapters/initialization/he.html"])
def test_print_opens_solutions_and_leaves_the_interface_out(page, name):
    page.goto((book.HTML / name).as_uri())
    solutions = page.locator("details.solution > :nth-child(2)")
    assert solutions.count() > 3
    assert not any(s.is_visible() for s in solutions.all())
    page.emulate_media(media="print")
    assert all(
        s.is_visible() and s.bounding_box()["height"] > 10 for s in solutions.all()
    )
    for left_out in (
        "bd-sidebar-primary", "bd-sidebar-secondary", "bd-header-article",
        "prev-next-footer", "copybtn", "controls",
    ):  # fmt: skip
        assert page.locator(f".{left_out}:visible").count() == 0, left_out
