// A kernel steps over an image: the window, the products, their sum, the output.
// Rows and columns count from 0, as on the page.

const short = (v) => String(+v.toFixed(2)).replace("-", "−");
const turn = (m) => m.map((row) => [...row].reverse()).reverse();
const pad = (m, p) => Array.from({ length: m.length + 2 * p }, (_, i) =>
  Array.from({ length: m[0].length + 2 * p }, (_, j) => m[i - p]?.[j - p] ?? 0));
const multiply = (x, kernel, top, left) => kernel.map((row, i) => row.map((w, j) => w * x[top + i][left + j]));
const add = (m) => m.flat().reduce((sum, v) => sum + v, 0);
const places = (n, k, stride) => Math.floor((n - k) / stride) + 1;
const convolve = (x, kernel, s) => Array.from({ length: places(x.length, kernel.length, s) }, (_, i) =>
  Array.from({ length: places(x[0].length, kernel[0].length, s) }, (_, j) => add(multiply(x, kernel, i * s, j * s))));

// The terms as they are written, and the value with its sign of equality.
const terms = (m) => m.map((row, i) => row.map((v, j) => {
  const word = short(v), sign = word[0] == "−" ? "−" : "+";
  return i || j ? `${sign} ${word.replace("−", "")}` : word;
}).join(" "));
const equals = (m) => [...m.flat(), add(m)].every((v) => Math.abs(v * 100 - Math.round(v * 100)) < 1e-9) ? "=" : "≈";

const choices = (given) => {
  const h = given.length, w = given[0].length;
  const fill = (f) => given.map((row, i) => row.map((_, j) => f(i, j)));
  const edge = (k, n) => (k == n - 1) - (k == 0);
  return [["as given", given], ["identity", fill((i, j) => +(i == h >> 1 && j == w >> 1))], ["mean", fill(() => 1 / (h * w))],
    ["vertical edges", fill((_, j) => edge(j, w))], ["horizontal edges", fill((i) => edge(i, h))], ["your own"]];
};

const grid = (values, x, y, cell, mark) => values.map((row, i) => row.map((v, j) => {
  const word = short(v), a = x + j * cell, b = y + i * cell;
  return `<rect x="${a.toFixed(1)}" y="${b.toFixed(1)}" width="${cell}" height="${cell}" ${mark ? mark(i * row.length + j) : ""}/>` +
    write(a + cell / 2, b + cell / 2 + 5, word, `text-anchor="middle" style="font-size:${Math.min(14, 1.5 * cell / word.length).toFixed(1)}px"`);
}).join("")).join("");
const frame = (x, y, w, h, colour) => `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${w}" height="${h}"
  style="fill:var(--${colour});fill-opacity:.15;stroke:var(--${colour});stroke-width:3;pointer-events:none"/>`;

function draw({ image, kernel: given, stride, padding, position, turned }, width) {
  const kernel = turned ? turn(given) : given, x = pad(image, padding), y = convolve(x, kernel, stride);
  const kh = kernel.length, kw = kernel[0].length, row = Math.floor(position / y[0].length), column = position % y[0].length;
  const m = multiply(x, kernel, row * stride, column * stride), lines = terms(m), total = `${equals(m)} ${short(y[row][column])}`;
  // Room for the largest padding, so that nothing below the drawing moves.
  const across = image[0].length + 4, down = image.length + 4, wide = width > 500, small = wide ? 28 : 24;
  const middle = Math.max(wide ? 96 : 84, kw * small), free = width - middle - (wide ? 64 : 16);
  const cell = Math.min(32, Math.floor(free / (wide ? 2 * across + 1 - kw : across)));
  const size = wide ? cell : Math.min(28, Math.floor(width / (across + 1 - kw)));
  const block = 2 * kh * small + 36, height = Math.max(down * cell, wide ? 0 : block);
  const right = wide ? width - (across + 1 - kw) * size : 0, center = wide ? (across * cell + right) / 2 : width - middle / 2 - 4;
  const x0 = (across - x[0].length) * cell / 2, y0 = 20 + (down - x.length) * cell / 2;
  const first = 20 + (height - block) / 2, second = first + kh * small + 36, left = center - kw * small / 2;
  const below = height + 44, out = wide ? 20 + (height - y.length * size) / 2 : below + 18 * kh + 24;
  return {
    height: wide ? height + 56 : out + (down + 1 - kh) * size + 6,
    sentence: `Window at row ${row * stride}, column ${column * stride} of the ${padding ? "padded " : ""}image: ${lines.join(" ")} ${total
    }, in row ${row}, column ${column} of the ${y.length}×${y[0].length} output.`,
    picture: [
      write(x0, y0 - 7, padding ? "padded image" : "image", ""),
      grid(x, x0, y0, cell), frame(x0 + column * stride * cell, y0 + row * stride * cell, kw * cell, kh * cell, "blue"),
      write(center, first - 7, turned ? "turned kernel" : "kernel", 'text-anchor="middle"'), grid(kernel, left, first, small),
      write(center, second - 7, "products", 'text-anchor="middle"'), grid(m, left, second, small),
      write(right, out - 7, "output", ""),
      grid(y, right, out, size, (at) => `data-at="${at}"${at < position ? ' class="past"' : ""}`),
      frame(right + column * size, out + row * size, size, size, "red"),
      ...(wide ? [lines.join(" ")] : lines).map((line, i, all) =>
        write(0, below + 18 * i, `${i ? "" : "sum: "}${line}${i == all.length - 1 ? " " + total : ""}`, "")),
    ].join(""),
  };
}

define("convolution-explorer", draw, (given, find) => {
  const kernels = choices(given.kernel);
  let columns, count;
  return {
    style: `
      svg text { font-size: 13px; pointer-events: none } .past { fill: color-mix(in srgb, var(--red) 12%, transparent) }
      #previous, #next { margin-bottom: .7em }
      .entries { display: grid; gap: .3em; grid-template-columns: repeat(${given.kernel[0].length}, 3.6em); margin: .5em 0 }
      select, [type=number] { min-height: 32px; border: 1px solid var(--soft); border-radius: 4px; background: none; color: inherit; font: inherit }
      [type=number] { box-sizing: border-box; width: 100%; text-align: center; appearance: textfield } option { background: Canvas; color: CanvasText }`,
    controls: `<div>${slider("position", "position", 0, 0)}
      <div class="row"><button id="previous">← previous</button><button id="next">next →</button></div>
      ${slider("stride", "stride", 1, 3)}${slider("padding", "padding", 0, 2)}</div>
      <div><div class="row toggles"><label>kernel <select id="choice">${kernels.map(([label, m]) =>
      `<option${m ? "" : " disabled"}>${label}</option>`).join("")}</select></label></div><div class="entries">${
      given.kernel.map((row, i) => row.map((_, j) => `<input type="number" min="-9" max="9" step="any" data-entry="${i},${j}"
        aria-label="kernel, row ${i}, column ${j}">`).join("")).join("")
      }</div><div class="row toggles"><label><input type="checkbox" id="turned">turn by 180° (true convolution)</label>
      <button id="reset">Reset</button></div></div>`,
    sync(state, event) {
      const { image, kernel, stride, padding } = state, y = convolve(pad(image, padding), kernel, stride);
      columns = y[0].length;
      count = y.length * columns;
      const position = state.position = Math.min(state.position, count - 1);
      const place = `row ${Math.floor(position / columns)}, column ${position % columns}`;
      find("#position").max = count - 1;
      find("#position").setAttribute("aria-valuetext", place);
      for (const [key, words] of Object.entries({ position: place, stride, padding })) {
        find("#" + key).value = state[key];
        find(`output[for=${key}]`).value = words;
      }
      find("#turned").checked = state.turned;
      find("#choice").selectedIndex = kernels.findIndex(([, m]) => !m || String(m) == String(kernel));
      // The entry that is being typed is left alone.
      kernel.flat().forEach((v, i) => {
        const entry = find(".entries").children[i];
        if (/change|click/.test(event?.type) || !entry.matches(":focus")) entry.value = +v.toFixed(3);
      });
    },
    input(state, { target }) {
      const { id, valueAsNumber: value, dataset: { entry } } = target;
      if (target.type == "range") state[id] = value;
      else if (id == "turned") state.turned = target.checked;
      else if (id == "choice") state.kernel = kernels[target.selectedIndex][1];
      else if (Math.abs(value) <= 9) {
        state.kernel = state.kernel.map((row, i) => row.map((v, j) => entry == `${i},${j}` ? value : v));
      }
    },
    // An entry that is no number in [-9, 9] becomes again what it was.
    change() {},
    click(state, { target: { id, dataset: { at } } }) {
      const to = { previous: state.position + count - 1, next: state.position + 1 }[id] ?? at;
      if (to == null) return false;
      state.position = to % count;
    },
    // Up and down move the window by a row; left and right the slider knows.
    keydown(state, event) {
      const to = state.position + { ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (event.target.id != "position" || isNaN(to)) return false;
      event.preventDefault();
      if (to >= 0 && to < count) state.position = to;
    },
  };
});
