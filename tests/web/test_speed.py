"""How soon formulas are drawn. Runs alone: what else the machine does adds time."""

from tests.web import book
from tests.web.visit import visit


@book.pages(book.heaviest(3))
def test_formulas_are_drawn_in_two_seconds_on_a_slow_phone(browser, site, name):
    """The least of five visits; formulas below the screen follow (static/layout.js).

    A quarter is allowed for the machine: its own speed varies by as much.
    """
    phone = {"viewport": book.PHONE, "device_scale_factor": 2, "is_mobile": True}
    for _ in range(5):
        seconds = visit(browser, site + name, slow=True, **phone).drawn
        if seconds <= 2:
            break
    assert seconds <= 2.5
