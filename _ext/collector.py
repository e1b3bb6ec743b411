"""Build without Python's garbage collector, which took a third of the time.

A page's tree is a cycle, of nodes and their parents; the trees of the whole book stay
below 1.5 GB.
"""

import gc

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", lambda app: gc.disable())
    app.connect("build-finished", lambda app, exception: gc.enable(), priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
