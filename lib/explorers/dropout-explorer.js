// Every mask of a small network: one of them drawn, and the outputs of all.

// Bit i of a mask says that unit i is kept.
const kept = (mask, i) => mask >> i & 1;
const count = ({ hidden }) => 2 ** hidden.length;
const output = ({ hidden, weight, p, rectify }, mask) => {
  const z = hidden.reduce((sum, h, i) => sum + (kept(mask, i) ? weight[i] * h / (1 - p) : 0), 0);
  return rectify ? Math.max(z, 0) : z;
};
const probability = ({ hidden, p }, mask) => hidden.reduce((product, _, i) => product * (kept(mask, i) ? 1 - p : p), 1);

// Expectation and standard deviation over all masks; and what the test-time network says.
function moments(state) {
  const masks = Array.from({ length: count(state) }, (_, mask) => [output(state, mask), probability(state, mask)]);
  const mean = masks.reduce((sum, [y, q]) => sum + q * y, 0);
  const variance = masks.reduce((sum, [y, q]) => sum + q * (y - mean) ** 2, 0);
  return { masks, mean, std: Math.sqrt(variance), test: output({ ...state, p: 0 }, count(state) - 1) };
}

function draw(state, width) {
  const { hidden, weight, p, mask, rectify } = state, { masks, mean, std, test } = moments(state), y = output(state, mask);
  const wide = width > 500;
  const step = 40, top = 44, net = wide ? 250 : width, low = top + (hidden.length - 1) * step, middle = (top + low) / 2;
  const units = hidden.map((h, i) => {
    const at = top + i * step, on = kept(mask, i), colour = on ? 'stroke="var(--blue)"' : 'stroke="var(--grey)" stroke-dasharray="3 3"';
    const edge = (x1, y1, x2, y2) => path([[x1, y1], [x2, y2]], colour);
    return Array.from({ length: 4 }, (_, j) => edge(8, middle + (j - 1.5) * 34, 92, at)).join("") + edge(124, at, net - 54, middle) +
      `<circle cx="108" cy="${at}" r="16" fill="none" stroke-width="2" ${colour}/>` +
      write(108, at + 4, on ? text(h / (1 - p), 1) : "0", 'text-anchor="middle"') +
      write(128, at + (at > middle ? 16 : -6), `× ${text(weight[i], 1)}`, soft("start"));
  });
  const ends = [...masks.map(([v]) => v), test], min = Math.min(...ends), max = Math.max(...ends), room = (max - min || 1) * 0.04;
  const left = wide ? 300 : 14, right = width - 14, peak = Math.max(...masks.map(([, q]) => q));
  const roof = wide ? 52 : low + 96, base = wide ? low : roof + 150;
  const X = (v) => left + (v - min + room) / (max - min + 2 * room) * (right - left);
  // A name stands beside its line, away from the other.
  const line = (v, name, colour, row, other) => {
    const before = X(v) > right - 40 || v - other < (row ? 1e-9 : -1e-9) && X(v) > left + 40;
    return path([[X(v), roof - row], [X(v), base + 5]], `stroke="var(--${colour})" stroke-width="1.5" stroke-dasharray="${row ? "6 3" : "none"}"`) +
      write(X(v) + (before ? -4 : 4), roof - row - 5, name, `text-anchor="${before ? "end" : "start"}" style="fill:var(--${colour})"`);
  };
  const picture = [
    write(0, 10, "network with this mask", soft("start")), ...units,
    ...[0, 1, 2, 3].map((j) => `<circle cx="8" cy="${middle + (j - 1.5) * 34}" r="5" style="fill:var(--soft)"/>`),
    `<circle cx="${net - 34}" cy="${middle}" r="20" fill="none" stroke-width="2" stroke="var(--red)"/>`,
    write(net - 34, middle + 4, text(y, 2), 'text-anchor="middle"'),
    write(wide ? left : 0, roof - 42, "outputs of all masks, as high as they are probable", soft("start")),
    ...masks.map(([v, q]) => path([[X(v), base], [X(v), base - q / peak * (base - roof)]], 'stroke="var(--soft)" stroke-width="3"')),
    path([[X(y), base], [X(y), base - probability(state, mask) / peak * (base - roof)]], 'stroke="var(--red)" stroke-width="4"'),
    `<circle cx="${X(y).toFixed(1)}" cy="${base}" r="5" fill="var(--red)"/>`,
    line(mean, "mean", "blue", 16, test), line(test, "test", "soft", 0, mean),
    path([[left, base], [right, base]], 'class="axis"'),
    ...[min, max].filter((v, i) => !i || v > min).map((v) => write(X(v), base + 20, text(v, 1), soft("middle"))),
  ].join("");
  const dropped = hidden.map((_, i) => i).filter((i) => !kept(mask, i));
  return {
    picture, height: base + 28,
    facts: [["output with this mask", text(y, 3)], ["mean over all masks", text(mean, 3)],
      ["standard deviation over them", text(std, 3)], ["output without dropout (test)", text(test, 3)]],
    sentence: `Units dropped with probability ${text(p, 1)}: with ${dropped.length ? `unit${dropped.length > 1 ? "s" : ""} ${dropped.join(", ")}` : "none"} dropped the ${
      rectify ? "rectified " : ""}output is ${text(y, 3)}; over all ${count(state)} masks its mean is ${text(mean, 3)}, its standard deviation ${
      text(std, 3)}; without dropout it is ${text(test, 3)}.`,
  };
}

explorer("dropout-explorer", {
  sliders: (state) => [["p", "p, probability to drop a unit", 0, 0.9, 0.1, 1], ["mask", "mask", 0, count(state) - 1, 1, 0]],
  toggles: [["rectify", "rectify the output", "var(--red)"]],
  draw, settle: () => {},
});
