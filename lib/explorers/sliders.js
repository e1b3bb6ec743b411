// The element around a drawing whose controls are sliders and checkboxes.
// sliders(state): [key, label, min, max, step, digits]; toggles: [key, label, colour];
// draw(state, width): {picture, height, facts, sentence};
// settle(state, key) makes the state legal after the control of that key was moved.
function explorer(name, { sliders, toggles, draw, settle }) {
  if (!customElements.get(name)) customElements.define(name, class extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      const state = JSON.parse(this.dataset.values), ranges = sliders(state);
      const root = this.attachShadow({ mode: "open" });
      root.innerHTML = `<style>${STYLE}</style><svg role="img"></svg><dl></dl>
        <div class="controls" role="group" aria-label="Settings">${
        ranges.map(([key, label, min, max, step]) => `<div>
          <div class="row"><label for="${key}">${label}</label><output for="${key}" aria-live="off"></output></div>
          <input type="range" id="${key}" min="${min}" max="${max}" step="${step}" value="${state[key]}"></div>`).join("")
        }<div class="row toggles">${
        toggles.map(([key, label, colour]) => `<label><input type="checkbox" id="${key}"${state[key] ? " checked" : ""}>
          <i style="background:${colour}"></i>${label}</label>`).join("")
        }<button>Reset</button></div></div><div role="status"></div>`;
      const find = (selector) => root.querySelector(selector), inputs = [...root.querySelectorAll("input")];
      const svg = find("svg");
      let width, timer;
      const room = () => Math.min(this.clientWidth || 680, 680);
      const show = () => {
        const { picture, height, facts, sentence } = draw(state, width = room());
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
        svg.setAttribute("aria-label", sentence);
        svg.innerHTML = picture;
        find("dl").innerHTML = facts.map(([term, fact]) => `<div><dt>${term}</dt><dd>${fact}</dd></div>`).join("");
      };
      const update = (moved) => {
        for (const input of inputs) state[input.id] = input.type == "range" ? input.valueAsNumber : input.checked;
        settle(state, moved);
        for (const [key, , , , , digits] of ranges) {
          find("#" + key).value = state[key];
          find(`output[for=${key}]`).value = text(state[key], digits);
        }
        show();
        clearTimeout(timer);
        if (moved) timer = setTimeout(() => find("[role=status]").textContent = svg.getAttribute("aria-label"), 700);
      };
      root.addEventListener("input", (event) => update(event.target.id));
      find("button").addEventListener("click", () => {
        for (const input of inputs) { input.value = input.defaultValue; input.checked = input.defaultChecked; }
        update("all");
      });
      update();
      new ResizeObserver(() => room() == width || show()).observe(this);
    }
  });
}
