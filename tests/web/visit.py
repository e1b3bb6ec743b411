"""A first visit to a page, measured: what it asks for, how much that is, what moves."""

from dataclasses import dataclass, field

from playwright.sync_api import Browser

WATCH = """
window.frame = () =>
  new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
window.shift = 0;
new PerformanceObserver((list) => {
  for (const { hadRecentInput, value } of list.getEntries())
    if (!hadRecentInput) shift += value;
}).observe({ type: "layout-shift", buffered: true });
// Formulas are drawn when the document is parsed, its fonts are there and a frame is
// out; in a book that draws them in the browser, when MathJax says so.
const parsed = new Promise((done) => {
  document.addEventListener("readystatechange", done);
});
window.drawn = new Promise((done) => parsed.then(async () => {
  await frame();
  await document.fonts.ready;
  if (document.querySelector("script[src*=mathjax]")) {
    if (document.readyState != "complete")
      await new Promise((done) => addEventListener("load", done));
    await MathJax.startup.promise;
  }
  await frame();
  done(performance.now());
}));
"""
LINE = {
    "offline": False,
    "latency": 40,
    "downloadThroughput": 10e6 / 8,
    "uploadThroughput": 5e6 / 8,
}
SCROLL = """async () => {
  const loaded = (image) => image.complete
    || new Promise((done) => image.onload = image.onerror = done);
  for (let y = 0; y < document.scrollingElement.scrollHeight; y += innerHeight) {
    scrollTo({ top: y, behavior: "instant" });
    await frame();
    await frame();
  }
  await Promise.all([...document.images].map(loaded));
  await frame();
}"""
IMAGES = """() => [...document.querySelectorAll("article img")].map((image) => {
  const box = image.getBoundingClientRect();
  return { name: image.src.slice(-40), alt: image.alt, top: box.top, shown: box.width,
    width: image.naturalWidth, picture: /\\.svg$|^data:image\\/svg/.test(image.src),
    loaded: image.complete && image.naturalWidth > 0,
    sized: image.hasAttribute("width") && image.hasAttribute("height") };
})"""


@dataclass
class Visit:
    """What was seen; images before and after scrolling to the end."""

    requests: list[str] = field(default_factory=list)
    pending: set = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0
    drawn: float = 0  # seconds until every formula was
    shift: float = 0
    before: list[dict] = field(default_factory=list)
    after: list[dict] = field(default_factory=list)

    def watch(self, page) -> None:
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("request", lambda r: self.pending.add(r))
        page.on("requestfinished", lambda r: self.pending.discard(r))
        page.on("requestfailed", lambda r: self.pending.discard(r))
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.on("console", self.hear)

    def hear(self, message) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location['url']}")

    def settle(self, page) -> None:
        """Wait for what was asked for; at most ten seconds."""
        for _ in range(100):
            page.wait_for_timeout(100)
            if not self.pending:
                return
        raise TimeoutError(f"no answer: {[request.url for request in self.pending]}")

    def elsewhere(self, home: str) -> list[str]:
        own = home, "data:", "blob:"
        return [url for url in self.requests if not url.startswith(own)]


def visit(
    browser: Browser, url: str, *, slow: bool = False, settle: bool = True, **options
) -> Visit:
    """Open a page with an empty cache, then scroll to its end.

    slow: as a slow phone would, which has a quarter of the speed and 10 Mbit/s; then
    only until all formulas are drawn. settle: wait for all that is fetched first.
    """
    seen = Visit()
    context = browser.new_context(**options)
    page = context.new_page()
    seen.watch(page)
    page.add_init_script(WATCH)
    cdp = context.new_cdp_session(page)
    cdp.send("Network.enable")
    sizes = []
    cdp.on("Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]))
    if slow:
        cdp.send("Network.emulateNetworkConditions", LINE)
        cdp.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.goto(url)
    seen.drawn = page.evaluate("drawn") / 1000
    if slow:
        context.close()
        return seen
    if settle:
        seen.settle(page)
    seen.bytes = round(sum(sizes))
    seen.before = page.evaluate(IMAGES)
    page.evaluate(SCROLL)
    seen.after = page.evaluate(IMAGES)
    seen.shift = page.evaluate("shift")
    context.close()
    return seen
