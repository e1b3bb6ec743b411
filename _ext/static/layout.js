{
  // What book.css leaves out while a page loads is laid out when there is nothing else
  // to do, so that nothing moves when it is scrolled to.
  const parts = [...document.querySelectorAll(".bd-article section section > *")];
  const later = parts.filter((e) => getComputedStyle(e).contentVisibility == "auto");
  const idle = window.requestIdleCallback ?? setTimeout;
  const layOut = () => {
    const end = performance.now() + 10;
    do {
      const part = later.shift();
      if (!part) return;
      part.style.contentVisibility = "visible";
      part.getBoundingClientRect();
    } while (performance.now() < end);
    idle(layOut, { timeout: 50 });
  };
  addEventListener("load", () => idle(layOut, { timeout: 500 }));

  // What scrolls inside itself can be reached with Tab.
  const scrolls = (e) => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight;
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) target.tabIndex = scrolls(target) ? 0 : -1;
  });
  const areas = "pre, .output, .pst-scrollable-table-container";
  for (const area of document.querySelectorAll(areas)) sizes.observe(area);
}
