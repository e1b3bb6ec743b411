"use strict";
// Shows what a link leads to, on hover and on focus: see _ext/previews.py.
const previews = (() => {
  const LINKS = ".bd-article a.internal:not(.headerlink)[href*='#']";
  const root = new URL(document.documentElement.dataset.content_root, location);
  const loaded = {}, arrived = {};
  const box = document.createElement("div");
  const template = document.createElement("template");
  let link, timer;

  function load(page) {
    return loaded[page] ??= new Promise((resolve) => {
      arrived[page] = resolve;
      const script = document.createElement("script");
      script.src = new URL(`_previews/${page}.js`, root);
      script.onerror = () => resolve({});
      document.head.append(script);
    });
  }

  async function show(target) {
    const there = new URL(target.href);
    const page = there.pathname.slice(root.pathname.length);
    const html = (await load(page))[decodeURIComponent(there.hash.slice(1))];
    if (!html || link !== target) return;
    template.innerHTML = html;  // inert: nothing loads before its address is right
    for (const e of template.content.querySelectorAll("[id]")) e.removeAttribute("id");
    for (const e of template.content.querySelectorAll("[href], [src]")) {
      const name = e.hasAttribute("src") ? "src" : "href";
      e[name] = new URL(e.getAttribute(name), there);
      e.tabIndex = -1;
    }
    box.replaceChildren(template.content);
    target.setAttribute("aria-describedby", box.id);
    box.style.maxHeight = "";
    box.showPopover();
    const { left, top, bottom } = target.getClientRects()[0];
    const below = innerHeight - bottom;
    const above = below < box.offsetHeight + 20 && top > below;
    box.style.maxHeight = `${(above ? top : below) - 20}px`;
    const width = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(left, width - box.offsetWidth - 8))}px`;
    box.style.top = `${scrollY + (above ? top - box.offsetHeight - 4 : bottom + 4)}px`;
  }

  function after(milliseconds, action) {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  }

  function enter(event) {
    if (box.contains(event.target)) return clearTimeout(timer);
    const target = event.target.closest(LINKS);
    if (target === link) return clearTimeout(timer);
    if (target) after(250, () => { hide(); link = target; show(target); });
  }

  function leave(event) {
    if (event.target.closest(`${LINKS}, #preview`)) after(250, hide);
  }

  function forget() {
    link?.removeAttribute("aria-describedby");
    link = null;
  }

  function hide() {
    forget();
    if (box.matches(":popover-open")) box.hidePopover();
  }

  if (box.showPopover) {
    box.id = "preview";
    box.role = "tooltip";
    box.popover = "auto";  // a click elsewhere closes it
    document.querySelector(".bd-article")?.append(box);
    for (const [name, action] of [["pointerover", enter], ["pointerout", leave]])
      document.addEventListener(name, (e) => e.pointerType === "mouse" && action(e));
    document.addEventListener("focusin", (e) => e.target.matches(":focus-visible") && enter(e));
    document.addEventListener("focusout", leave);
    document.addEventListener("keydown", (e) => e.key === "Escape" && hide());
    box.addEventListener("beforetoggle", (e) => e.newState === "closed" && forget());
  }
  return { add: (page, found) => arrived[page](found) };
})();
