// The density of N(μ, σ²), the probability of an interval, and a sample beside them.

const pdf = (x, mean, std) => Math.exp(-(((x - mean) / std) ** 2) / 2) / (std * Math.sqrt(2 * Math.PI));

// One minus the series of erf near 0, the continued fraction beyond.
function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    let sum = 0;
    for (let n = 1, term = 2 * x; sum + term > sum; n++) { sum += term; term *= 2 * x * x / (2 * n + 1); }
    return 1 - scale * sum;
  }
  let fraction = x;
  for (let n = 100; n > 0; n--) fraction = x + n / 2 / fraction;
  return scale / fraction;
}

const cdf = (x, mean, std) => erfc(-(x - mean) / std / Math.SQRT2) / 2;

const inside = (sample, lower, upper) => sample.filter((x) => lower <= x && x <= upper).length;

const average = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

function scott(sample) {
  const n = sample.length, mean = average(sample);
  return Math.sqrt(average(sample.map((x) => (x - mean) ** 2)) * n / (n - 1)) * n ** -0.2;
}

const kde = (x, sample, h) => average(sample.map((xi) => pdf(x, xi, h)));

// Bars of density, [left end, height], of one width and with one end at `from`.
function histogram(sample, from, width) {
  const counts = new Map();
  for (const x of sample) {
    const k = Math.floor((x - from) / width);
    counts.set(k, (counts.get(k) || 0) + 1);
  }
  return [...counts].map(([k, count]) => [from + k * width, count / sample.length / width]);
}

// A kernel estimate moves and stretches with its sample, so only n asks for a new one.
const kept = new WeakMap();
function estimate(sample, n) {
  if (kept.get(sample)?.n != n) {
    const z = sample.slice(0, n), h = scott(z), at = Array.from({ length: 181 }, (_, i) => i / 15 - 6);
    kept.set(sample, { n, h, points: h ? at.map((t) => [t, kde(t, z, h)]) : [] });
  }
  return kept.get(sample);
}

function draw({ sample, mean, std, lower, upper, n, bars, smooth }, width) {
  const height = Math.round(230 + 0.16 * width), base = height - 44, left = 30, right = width - 14;
  const X = (x) => left + (x + 7) / 14 * (right - left), Y = (y) => base - y / 1.4 * (base - 18);
  const f = (x) => pdf(x, mean, std), peak = f(mean), row = base + 32;
  const x = sample.slice(0, n).map((z) => mean + std * z), bin = 3.5 * std * n ** (-1 / 3);
  const { h, points } = estimate(sample, n), count = inside(x, lower, upper);
  const p = text(cdf(upper, mean, std) - cdf(lower, mean, std), 4);
  const curve = (from, to) => {
    const steps = Math.ceil(X(to) - X(from)) + 1;
    return Array.from({ length: steps + 1 }, (_, i) => from + (to - from) * i / steps).map((v) => [X(v), Y(f(v))]);
  };
  const blue = 'stroke="var(--blue)" stroke-width="2.5" fill="none"';
  const bound = (at, name, anchor, shift) => path([[X(at), base], [X(at), Y(f(at)) - 15]], 'stroke="var(--blue)"') +
    write(X(at) + shift, Y(f(at)) - 8, name, `text-anchor="${anchor}" style="fill:var(--blue);font-style:italic"`);
  const picture = [
    write(0, 10, "density", soft("start")),
    ...[0.5, 1].map((y) => path([[left, Y(y)], [right, Y(y)]], 'class="grid"') + write(left - 6, Y(y) + 4, text(y, 1), soft("end"))),
    // A frame of its own cuts off what is higher than the axis.
    `<svg x="${left}" y="0" width="${right - left}" height="${base}" viewBox="${left} 0 ${right - left} ${base}">`,
    ...(bars ? histogram(x, mean, bin) : []).map(([at, y]) => path([[X(at) + 0.5, base], [X(at) + 0.5, Y(y)],
      [X(at + bin) - 0.5, Y(y)], [X(at + bin) - 0.5, base]], 'fill="var(--grey)"')),
    path([[X(lower), base], ...curve(lower, upper), [X(upper), base]], 'fill="var(--blue)" opacity=".25"'),
    path(curve(-7, 7), blue),
    smooth && h ? path(points.map(([t, y]) => [X(mean + std * t), Y(y / std)]), blue.replace("blue", "red")) : "",
    "</svg>",
    path([[left, Y(peak)], [X(mean), Y(peak)]], 'class="axis" stroke-dasharray="1 4"'),
    write(left + 4, Y(peak) - 5, text(peak, 3), soft("start")),
    bound(lower, "a", "end", -5), bound(upper, "b", "start", 5),
    path([[left, base], [right, base]], 'class="axis"'),
    ...[-6, -4, -2, 0, 2, 4, 6].map((v) => path([[X(v), base], [X(v), base + 4]], 'class="axis"') +
      write(X(v), base + 17, text(v, 0), soft("middle"))),
    write(right, base + 17, "x", soft("end")),
    path([[X(mean), row], [X(mean + std), row]], 'class="axis" stroke-width="1.5"'),
    path([[X(mean + std), row - 4], [X(mean + std), row + 4]], 'class="axis" stroke-width="1.5"'),
    `<circle cx="${X(mean).toFixed(1)}" cy="${row}" r="3.5" fill="currentColor"/>`,
    write(X(mean) - 8, row + 4, "μ", soft("end")), write(X(mean + std) + 6, row + 4, "σ", soft("start")),
  ].join("");
  return {
    picture, height,
    facts: [["P(a ≤ X ≤ b)", p], ["share of the sample in [a, b]", text(count / n, 4)],
      ["peak height 1/(σ√(2π))", text(peak, 4)], ["Scott’s bandwidth h", text(std * h, 4)]],
    sentence: `Normal density with mean ${text(mean, 1)} and standard deviation ${text(std, 2)}: between ` +
      `${text(lower, 2)} and ${text(upper, 2)} lie probability ${p} and ${count} of ${n} observations.`,
  };
}

explorer("normal-explorer", {
  draw,
  sliders: ({ sample: { length } }) => [
    ["mean", "mean μ", -3, 3, 0.1, 1],
    ["std", "standard deviation σ", 0.3, 3, 0.05, 2],
    ["lower", "lower bound a", -7, 7, 0.02, 2],
    ["upper", "upper bound b", -7, 7, 0.02, 2],
    ["n", "sample size n", Math.min(10, length), length, length % 10 ? 1 : 10, 0],
  ],
  toggles: [["bars", "histogram", "var(--grey)"], ["smooth", "kernel estimate", "var(--red)"]],
  // A bound that is moved past the other takes it along.
  settle(state, moved) {
    if (state.lower > state.upper) state[moved == "lower" ? "upper" : "lower"] = state[moved];
  },
});
