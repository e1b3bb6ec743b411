// One value of a batch, the values that share its statistics, and what it becomes.
// Samples, channels, rows and columns count from 0, as on the page.

const norms = [["batch", "batch"], ["layer", "layer"], ["instance", "instance"], ["group", "group"], ["rms", "RMS"]];
const changes = [["sample", "sample 0 × 3"], ["channel", "channel 1 + 6"]];
const sets = {
  batch: "channel %c, over all samples", layer: "sample %n, over all channels", rms: "sample %n, over all channels",
  instance: "channel %c of sample %n", group: "group %g of channels of sample %n",
};
const short = (v) => String(v).replace("-", "−");

// The data, row by row: sample, channel, and position within the channel.
const size = (x) => ({ N: x.length, C: x[0].length, H: x[0][0].length, W: x[0][0][0].length });
const flat = ({ input, sample, channel }) => input.flatMap((s, n) => s.flatMap((map, c) =>
  map.flatMap((row, i) => row.map((v, j) => ({ n, c, i, j, x: v * (sample && n == 0 ? 3 : 1) + (channel && c == 1 ? 6 : 0) })))));
const key = ({ norm, groups }, C) => ({
  batch: (v) => v.c, layer: (v) => v.n, rms: (v) => v.n, instance: (v) => v.n * C + v.c,
  group: (v) => v.n * groups + Math.floor(v.c * groups / C),
})[norm];
const place = ({ n, c, i, j }) => `sample ${n}, channel ${c}, row ${i}, column ${j}`;

// Every value with its set, the set's statistics, and what it becomes.
function normalise(state) {
  const values = flat(state), of = key(state, size(state.input).C), sums = new Map();
  const shared = (v) => sums.get(of(v));
  for (const v of values) sums.has(of(v)) ? shared(v).push(v.x) : sums.set(of(v), [v.x]);
  for (const [k, all] of sums) {
    const average = (f) => all.reduce((sum, x) => sum + f(x), 0) / all.length;
    const mean = state.norm == "rms" ? 0 : average((x) => x), square = average((x) => (x - mean) ** 2);
    sums.set(k, { mean, std: Math.sqrt(square), divisor: Math.sqrt(square + 1e-5), count: all.length });
  }
  return { sets: sums.size, values: values.map((v) => ({ ...v, ...shared(v), set: of(v), y: (v.x - shared(v).mean) / shared(v).divisor })) };
}

function draw(state, width) {
  const { N, C, H, W } = size(state.input), { sets: count, values } = normalise(state), at = values[state.position];
  const wide = width > 500, gap = 6, left = 38, free = (wide ? (width - 20) / 2 : width) - left - 2;
  const cell = Math.min(38, Math.floor((free - (C - 1) * gap) / (C * W))), tall = N * H * cell + (N - 1) * gap;
  const across = left + C * W * cell + (C - 1) * gap, second = wide ? [width - across - 2, 0] : [0, tall + 58];
  const panel = (field, title, [dx, dy]) => {
    const X = (c, j) => dx + left + c * (W * cell + gap) + j * cell, Y = (n, i) => dy + 44 + n * (H * cell + gap) + i * cell;
    return write(dx, dy + 12, title, "") +
      Array.from({ length: C }, (_, c) => write(X(c, W / 2), dy + 36, `c = ${c}`, soft("middle"))).join("") +
      Array.from({ length: N }, (_, n) => write(dx, Y(n, H / 2) + 4, `n = ${n}`, soft("start"))).join("") +
      values.map((v, k) => {
        const a = X(v.c, v.j), b = Y(v.n, v.i);
        return `<rect x="${a.toFixed(1)}" y="${b.toFixed(1)}" width="${cell}" height="${cell}" data-at="${k}"${v.set == at.set ? ' class="set"' : ""}/>` +
          write(a + cell / 2, b + cell / 2 + 4, field == "x" ? short(v.x) : text(v.y, 1), 'class="value" text-anchor="middle"');
      }).join("") +
      `<rect x="${X(at.c, at.j).toFixed(1)}" y="${Y(at.n, at.i).toFixed(1)}" width="${cell}" height="${cell}" class="at"/>`;
  };
  const label = norms.find(([norm]) => norm == state.norm)[1], rms = state.norm == "rms";
  const set = sets[state.norm].replace("%n", at.n).replace("%c", at.c).replace("%g", Math.floor(at.c * state.groups / C));
  return {
    picture: panel("x", "x", [0, 0]) + panel("y", "normalised", second), height: second[1] + tall + 52,
    facts: [[rms ? "root mean square" : "mean; standard deviation", rms ? text(at.std, 2) : `${text(at.mean, 2)}; ${text(at.std, 2)}`],
      ["values that share them", at.count], ["sets of statistics", count], ["this value", `${short(at.x)} → ${text(at.y, 2)}`]],
    sentence: `${label[0].toUpperCase()}${label.slice(1)} normalisation: ${short(at.x)}, in ${place(at)}, becomes ${text(at.y, 2)}, by the ${
      rms ? "root mean square" : `mean ${text(at.mean, 2)} and the standard deviation`} ${text(at.std, 2)} of ${at.count} values: ${set}.`,
  };
}

define("normalization-explorer", draw, (given, find) => {
  const { N, C, H, W } = size(given.input), divisors = Array.from({ length: C }, (_, k) => k + 1).filter((g) => C % g == 0);
  return {
    style: `
      text { pointer-events: none } .value { font-size: 11px } [role=radiogroup], [role=radiogroup] label { column-gap: .25em } :disabled, .off { opacity: .45 }
      .set { fill: color-mix(in srgb, var(--blue) 24%, transparent); stroke: var(--blue) }
      .at { stroke: var(--red); stroke-width: 3; pointer-events: none }`,
    controls: `<div><div class="row toggles" role="radiogroup" aria-label="norm">${norms.map(([norm, label]) =>
      `<label><input type="radio" name="norm" value="${norm}">${label}</label>`).join("")}</div>${slider("groups", "groups", 0, divisors.length - 1)}</div>
      <div>${slider("position", "value", 0, N * C * H * W - 1)}<div class="row toggles">${changes.map(([id, label]) =>
      `<label><input type="checkbox" id="${id}">${label}</label>`).join("")}<button id="reset">Reset</button></div></div>`,
    sync(state) {
      const grouped = state.norm == "group", groups = find("#groups");
      find(`[value=${state.norm}]`).checked = true;
      groups.disabled = !grouped;
      groups.previousElementSibling.className = grouped ? "row" : "row off";
      groups.value = divisors.indexOf(state.groups);
      groups.setAttribute("aria-valuetext", find("[for=groups] + output").value = state.groups);
      find("#position").value = state.position;
      find("#position").setAttribute("aria-valuetext", find("[for=position] + output").value = place(flat(state)[state.position]));
      for (const [id] of changes) find("#" + id).checked = state[id];
    },
    input(state, { target: { type, id, value, checked } }) {
      if (type == "radio") state.norm = value;
      else if (type == "checkbox") state[id] = checked;
      else state[id] = id == "groups" ? divisors[value] : +value;
    },
    click(state, { target: { dataset: { at } } }) {
      if (!at) return false;
      state.position = +at;
    },
  };
});
