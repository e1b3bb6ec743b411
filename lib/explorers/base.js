// What all explorers share: their look, pieces of a drawing, and the element around it.
// Explorer.script() puts this file, other parts and the explorer's own into one function,
// without comment lines and indents. Colours lean on the text colour, so that they suit
// every theme; a page may set --explorer-blue and --explorer-red. The shadow root keeps
// the page's styles out, ids in, and hides the picture that is shown without scripts.

const STYLE = `
:host {
  --blue: var(--explorer-blue, color-mix(in oklab, #0086d5 80%, currentColor));
  --red: var(--explorer-red, color-mix(in oklab, #f86500 85%, currentColor));
  --grey: color-mix(in srgb, currentColor 34%, transparent);
  --soft: color-mix(in srgb, currentColor 80%, transparent);
  display: block; max-width: 680px; margin: 1.5em 0;
  font: 14px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums;
}
svg { display: block; width: 100%; height: auto }
text { fill: currentColor; font-size: 12px }
.soft { fill: var(--soft) }
.axis { stroke: var(--soft) }
rect { fill: transparent; stroke: var(--grey) }
[data-at] { cursor: pointer }
.grid { stroke: var(--grey); opacity: .6 }
dl, .controls {
  display: grid; gap: .5em 2.5em; margin: .8em 0 0;
  grid-template-columns: repeat(auto-fit, minmax(min(17em, 100%), 1fr));
}
dl { border: solid color-mix(in srgb, currentColor 20%, transparent); border-width: 1px 0; padding: .7em 0 }
dl:empty { display: none }
dl div, .row { display: flex; justify-content: space-between; gap: 1em }
dt { color: var(--soft) }
dd { margin: 0; font-weight: 600 }
input { color: inherit; accent-color: var(--blue) }
[type=range] { width: 100%; height: 28px; margin: 0; touch-action: pan-y }
.toggles { flex-wrap: wrap; align-items: center; justify-content: start; gap: .3em .7em }
.toggles label { display: flex; align-items: center; gap: .4em; min-height: 28px }
[role=radiogroup] { margin-bottom: .7em }
[type=radio] { margin: 0 }
i { width: 1em; height: .6em; forced-color-adjust: none }
button {
  min-height: 32px; padding: 0 .8em; border: 1px solid var(--soft); border-radius: 4px;
  background: none; color: inherit; font: inherit; cursor: pointer;
}
:focus-visible { outline: 2px solid var(--blue); outline-offset: 3px }
[role=status] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (forced-colors: none) {
  [type=range] { appearance: none; background: linear-gradient(var(--grey) 0 0) center / 100% 4px no-repeat }
  ::-webkit-slider-thumb { appearance: none; width: 18px; height: 18px; border-radius: 50%; background: var(--blue) }
  ::-moz-range-thumb { width: 18px; height: 18px; border: 0; border-radius: 50%; background: var(--blue) }
}
@media print { .controls { display: none } :host { break-inside: avoid } }
`;

// A number with a true minus sign, and none before zero.
const text = (value, digits) => value.toFixed(digits).replace(/^-(?=.*[1-9])/, "−").replace("-", "");

// Pieces of a drawing.
const path = (points, style) => `<path d="M${points.map((p) => p.map((v) => v.toFixed(1)).join(" ")).join("L")}" ${style}/>`;
const write = (x, y, words, style) => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${style}>${words}</text>`;
const soft = (anchor) => `class="soft" text-anchor="${anchor}"`;

// A piece of the controls.
const slider = (key, label, min, max, step = 1) => `<div class="row"><label for="${key}">${label}</label>
  <output for="${key}" aria-live="off"></output></div><input type="range" id="${key}" min="${min}" max="${max}" step="${step}">`;

// The element around a drawing. draw(state, width): {picture, height, facts, sentence};
// make(given, find), called for each element: {style, controls, sync, input, click, ...}.
// controls: HTML with a button #reset; sync(state, event) lets them show the state;
// input and the like change the state upon such an event, or return false.
function define(name, draw, make) {
  if (!customElements.get(name)) customElements.define(name, class extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" }), find = (selector) => root.querySelector(selector);
      const given = JSON.parse(this.dataset.values), room = () => Math.min(this.clientWidth || 680, 680);
      const { style = "", controls, sync, ...events } = make(given, find);
      let state = { ...given }, width, timer;
      root.innerHTML = `<style>${STYLE}${style}</style><svg role="img"></svg><dl></dl>
        <div class="controls" role="group" aria-label="Settings">${controls}</div><div role="status"></div>`;
      const show = (event) => {
        sync(state, event);
        const { picture, height, facts = [], sentence } = draw(state, width = room()), svg = find("svg");
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
        svg.setAttribute("aria-label", sentence);
        svg.innerHTML = picture;
        find("dl").innerHTML = facts.map(([term, fact]) => `<div><dt>${term}</dt><dd>${fact}</dd></div>`).join("");
        if (!event) return;
        clearTimeout(timer);
        timer = setTimeout(() => find("[role=status]").textContent = sentence, 700);
      };
      for (const type in events) root.addEventListener(type, (event) => events[type](state, event) === false || show(event));
      find("#reset").addEventListener("click", (event) => { state = { ...given }; show(event); });
      show();
      new ResizeObserver(() => room() == width || show()).observe(this);
    }
  });
}
