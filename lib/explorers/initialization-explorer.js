// Wide layers of equal width: the spread of activations and gradients, by layer.
// A slope is written in terms of the function's value.

const functions = {
  sigmoid: ["sigmoid", (x) => 1 / (1 + Math.exp(-x)), (y) => y * (1 - y)],
  tanh: ["tanh", Math.tanh, (y) => 1 - y * y],
  softsign: ["softsign", (x) => x / (1 + Math.abs(x)), (y) => (1 - Math.abs(y)) ** 2],
  relu: ["ReLU", (x) => Math.max(x, 0), (y) => +(y > 0)],
};
const rules = [[1 / 3, "1/√n heuristic, torch’s default", "1/3"], [1, "Xavier", "1"], [2, "He", "2"]];

// E g(z)² and E g'(z)² for z ~ N(0, q), by the midpoint rule in the cube root of z / √q:
// the kink at 0 lies between two nodes, and costs no digits where it is the slope's.
function moments(activation, q) {
  const [, g, slope] = functions[activation];
  let second = 0, steepness = 0;
  for (let t = -255 / 128; t < 2; t += 1 / 64) {
    const z = t ** 3, y = g(Math.sqrt(q) * z), w = 3 * t * t / 64 * Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI);
    second += w * y * y;
    steepness += w * slope(y) ** 2;
  }
  return [second, steepness];
}

// Root mean squares in layers 1 to depth; gradients are relative to the last.
function spread({ activation, scale, depth }) {
  const activations = [], gradients = [1];
  let q = scale, factors = [];
  for (let l = 0; l < depth; l++) {
    const [second, steepness] = moments(activation, q);
    activations.push(Math.sqrt(second));
    factors.push(Math.sqrt(scale * steepness));
    q = scale * second;
  }
  for (let l = depth - 2; l >= 0; l--) gradients.unshift(gradients[0] * factors[l]);
  return { activations, gradients };
}

// The slider's 80 steps are even in log scale, and stop at the rules exactly.
const stop = (k) => {
  const scale = 0.1 * 40 ** (k / 80);
  return rules.find(([rule]) => Math.abs(scale / rule - 1) < 0.01)?.[0] ?? scale;
};
const place = (scale) => Math.round(80 * Math.log(scale * 10) / Math.log(40));

// Three digits, with a power of ten where the value is far from 1. A tie, such as
// 2⁻⁵ = 0.03125, goes up whatever the last bit is.
const power = (e) => "10" + [...String(e)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
const short = (v) => {
  v *= 1 + 1e-9;
  const [digits, e] = v.toExponential(2).split("e");
  return e < -3 || e > 2 ? `${digits}·${power(+e)}` : v.toFixed(2 - e);
};

function draw(state, width) {
  const { activations, gradients } = spread(state), { depth } = state, end = activations[depth - 1];
  const height = Math.round(230 + 0.16 * width), top = 24, base = height - 28, left = 38, right = width - 92;
  const X = (l) => left + (l - 1) / (depth - 1) * (right - left), Y = (v) => top + (2 - Math.log10(v)) / 10 * (base - top);
  const curve = (values, style) => path(values.map((v, i) => [X(i + 1), Y(v)]), `fill="none" stroke-width="2.5" ${style}`);
  const step = depth > 20 ? 10 : depth > 10 ? 5 : 1;
  // Two names that would touch give way, each by half.
  let a = Math.min(Math.max(Y(end), top), base), b = Y(1);
  if (Math.abs(a - b) < 15) [a, b] = [(a + b + (a < b ? -15 : 15)) / 2, (a + b + (a < b ? 15 : -15)) / 2];
  const layers = Array.from({ length: depth }, (_, i) => i + 1).filter((l) => l == 1 || l % step == 0);
  const picture = [
    write(0, 10, "root mean square", soft("start")),
    ...[2, 0, -2, -4, -6, -8].map((e) => path([[left, Y(10 ** e)], [right, Y(10 ** e)]], 'class="grid"') +
      write(left - 6, Y(10 ** e) + 4, e ? power(e) : "1", soft("end"))),
    // A frame of its own cuts off what leaves the axis.
    `<svg x="${left}" y="${top}" width="${right - left}" height="${base - top}" viewBox="${left} ${top} ${right - left} ${base - top}">`,
    curve(activations, 'stroke="var(--blue)"'), curve(gradients, 'stroke="var(--red)" stroke-dasharray="7 4"'), "</svg>",
    path([[left, base], [right, base]], 'class="axis"'),
    ...layers.map((l) => path([[X(l), base], [X(l), base + 4]], 'class="axis"') + write(X(l), base + 17, l, soft("middle"))),
    write(right + 14, base + 17, "layer", soft("start")),
    write(right + 6, a + 4, "activations" + (end < 1e-8 ? " ↓" : end > 100 ? " ↑" : ""), 'style="fill:var(--blue)"'),
    write(right + 6, b + 4, "gradients", 'style="fill:var(--red)"'),
  ].join("");
  return {
    picture, height,
    facts: [[`activations, layer ${depth}`, short(end)], [`gradients, layer 1 over layer ${depth}`, short(gradients[0])]],
    sentence: `In a network of ${depth} ${functions[state.activation][0]} layers, all of one large width n, with n Var[w] = ${text(state.scale, 2)
    }, the root mean square of the activations is ${short(end)} in layer ${depth}, and that of the gradients is ${short(gradients[0])
    } in layer 1, relative to layer ${depth}.`,
  };
}

define("initialization-explorer", draw, (given, find) => ({
  style: "[aria-pressed=true] { border-color: var(--blue); box-shadow: inset 0 0 0 1px var(--blue) }",
  controls: `<div><div class="row toggles" role="radiogroup" aria-label="activation">${Object.entries(functions).map(([key, [label]]) =>
    `<label><input type="radio" name="activation" value="${key}">${label}</label>`).join("")}</div>${slider("depth", "depth", 2, 50)}</div>
    <div>${slider("scale", "scale n Var[w]", 0, 80)}<div class="row toggles">${rules.map(([, label, value], i) =>
    `<button data-rule="${i}">${value}: ${label}</button>`).join("")}<button id="reset">Reset</button></div></div>`,
  sync({ activation, depth, scale }) {
    find(`[value=${activation}]`).checked = true;
    find("#depth").value = find("[for=depth] + output").value = depth;
    find("#scale").value = place(scale);
    find("#scale").setAttribute("aria-valuetext", find("[for=scale] + output").value = text(scale, 2));
    rules.forEach(([rule], i) => find(`[data-rule="${i}"]`).setAttribute("aria-pressed", scale == rule));
  },
  input(state, { target: { id, value } }) {
    if (id) state[id] = id == "scale" ? stop(+value) : +value;
    else state.activation = value;
  },
  click(state, { target: { dataset: { rule } } }) {
    if (!rule) return false;
    state.scale = rules[rule][0];
  },
}));
