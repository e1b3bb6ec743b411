// An explorer whose controls are sliders and checkboxes.
// sliders(given): [key, label, min, max, step, digits]; toggles: [key, label, colour];
// settle(state, key) makes the state legal after the control of that key was moved.
const explorer = (name, { sliders, toggles, draw, settle }) => define(name, draw, (given, find) => ({
  controls: `${sliders(given).map((spec) => `<div>${slider(...spec)}</div>`).join("")}<div class="row toggles">${
    toggles.map(([key, label, colour]) => `<label><input type="checkbox" id="${key}">
      <i style="background:${colour}"></i>${label}</label>`).join("")}<button id="reset">Reset</button></div>`,
  // A slider holds no value between its steps, so the state follows it.
  sync(state) {
    for (const [key, , , , , digits] of sliders(given)) {
      find("#" + key).value = state[key];
      state[key] = find("#" + key).valueAsNumber;
      find(`output[for=${key}]`).value = text(state[key], digits);
    }
    for (const [key] of toggles) find("#" + key).checked = state[key];
  },
  input(state, { target }) {
    state[target.id] = target.type == "range" ? target.valueAsNumber : target.checked;
    settle(state, target.id);
  },
}));
