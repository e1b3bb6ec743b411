"""Weigh pages of the book beside a default Jupyter Book build of the same content.

python -m benchmarks.pages    after make book; needs npm for MathJax

Each figure is the median of five first visits with an empty cache, at 1280 by 900; the
time is that on an emulated slow phone. The table goes to benchmarks/pages.md, which
the book includes. A default build loads MathJax from another host; here the same files
come from this machine, over the same emulated line.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from playwright.sync_api import Browser, sync_playwright

import browser as machine
from tests.web import book
from tests.web.visit import Visit, visit

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".md")
MATHJAX = "mathjax@3.2.2"
ROUNDS = 5
PAGES = {
    "intro.html": "a page without mathematics",
    "chapters/normal/density.html": "a page of mathematics",
    "chapters/cnn/convolution.html": "one with an explorer",
    "chapters/initialization/he.html": "the one with most formulas",
}
KEPT = "title", "author", "execute", "bibtex_bibfiles", "launch_buttons", "parse"


def build(folder: Path) -> Path:
    """The same content with the settings that Jupyter Book comes with."""
    shutil.copytree(ROOT / "chapters", folder / "chapters")
    for path in [*ROOT.glob("*.md"), ROOT / "_toc.yml", ROOT / "references.bib"]:
        shutil.copy(path, folder)
    config = {key: book.CONFIG[key] for key in KEPT if key in book.CONFIG}
    config["only_build_toc_files"] = True
    config["sphinx"] = {
        "extra_extensions": ["sphinx_proof", "sphinx_exercise"],
        "config": {"mathjax_path": f"{book.PREFIX}mathjax/tex-mml-chtml.js"},
    }
    (folder / "_config.yml").write_text(yaml.safe_dump(config), "utf-8")
    tool = Path(sys.executable).parent / "jupyter-book"
    with (folder / "log").open("w") as log:  # it knows none of our directives
        subprocess.run([tool, "build", "-q", "."], cwd=folder, stdout=log, stderr=log)
    html = folder / "_build" / "html"
    npm = ["npm", "install", "--silent", "--no-save", MATHJAX]
    subprocess.run(npm, cwd=html, check=True)
    shutil.move(html / "node_modules" / "mathjax" / "es5", html / "mathjax")
    return html


def visits(browser: Browser, url: str, **options) -> list[Visit]:
    return [visit(browser, url, **options) for _ in range(ROUNDS)]


def row(browser: Browser, name: str, which: str, home: str) -> str:
    wide = visits(browser, home + name, viewport=book.WIDE)
    phone = visits(browser, home + name, slow=True, viewport=book.PHONE, is_mobile=True)
    median = {
        key: statistics.median(getattr(seen, key) for seen in wide)
        for key in ("bytes", "shift")
    }
    requests = [url for url in wide[0].requests if not url.startswith("data:")]
    elsewhere = sum("/mathjax/" in url for url in requests)
    drawn = statistics.median(seen.drawn for seen in phone)
    return (
        f"| {PAGES[name]} | {which} | {median['bytes'] / 1000:.0f}\N{NO-BREAK SPACE}kB "
        f"| {len(requests)} | {elsewhere} | {drawn:.1f}\N{NO-BREAK SPACE}s "
        f"| {median['shift']:.3f} |"
    )


def main() -> None:
    lines = [
        "| page | build | transferred | requests | of another host | drawn | shift |",
        "| --- | --- | --: | --: | --: | --: | --: |",
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        book.serve() as ours,
        book.serve(build(Path(folder))) as theirs,
    ):
        browser = playwright.chromium.launch(
            executable_path=machine.find(), args=machine.ARGS
        )
        for name in PAGES:
            for which, home in ("this book", ours), ("default", theirs):
                lines.append(row(browser, name, which, home))
                print(lines[-1])
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
