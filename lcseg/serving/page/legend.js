// The classes, and which share of the view each has.

import { ask } from "./answers.js";
import { bar, byId, make, swatch, trouble } from "./elements.js";

export class Legend {
  #asked = new AbortController();
  #columns = [];
  #addresses = "";

  /** Shows the classes of data sets, side by side: [{ dataset, name }]. */
  setColumns(columns) {
    if (columns.map(key).join() === this.#columns.map(key).join()) return;
    this.#asked.abort();
    this.#columns = columns;
    this.#addresses = "";
    this.#draw([]);
  }

  /** Asks for the shares within bounds in degrees: [west, south, east, north]. */
  async update(bounds) {
    const bbox = bounds.map((degrees) => degrees.toFixed(7)).join(",");
    const addresses = this.#columns.map(({ dataset }) => `shares/${dataset.id}?bbox=${bbox}`);
    if (addresses.join() === this.#addresses) return;
    this.#addresses = addresses.join();
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    const note = byId("shares-note");
    const slow = setTimeout(() => byId("shares").setAttribute("aria-busy", "true"), 400);
    try {
      const answers = await Promise.all(addresses.map((address) => ask(address, { signal })));
      if (signal.aborted) return;
      const far = answers.map(({ note }) => note).find(Boolean);
      this.#draw(answers.map(({ shares }) => (far ? [] : shares)));
      const isEmpty = answers.every(({ shares }) => shares.every(({ share }) => share === 0));
      note.textContent = far
        ? "Zoom in to see the shares."
        : isEmpty
          ? "Nothing of the map is in view."
          : "";
    } catch (error) {
      if (signal.aborted) return;
      this.#addresses = "";
      this.#draw([]);
      const text = `No shares: ${error.message}.`;
      note.replaceChildren(...trouble(text, "Retry", () => this.update(bounds)).childNodes);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) byId("shares").removeAttribute("aria-busy");
    }
  }

  #draw(shares) {
    const columns = this.#columns.map((column, at) => ({
      ...column,
      percents: percentsByName(column.dataset.classes, shares[at]),
    }));
    const names = new Map();
    for (const { dataset } of columns) {
      for (const land of dataset.classes) if (!names.has(land.name)) names.set(land.name, land);
    }
    const heads = columns.map(({ name }) => make("th", { scope: "col" }, name));
    const head = make(
      "thead",
      { class: columns.length === 1 && "aside" },
      make(
        "tr",
        {},
        make("th", { scope: "col" }, make("span", { class: "aside" }, "Class")),
        ...heads,
      ),
    );
    const rows = [...names.values()].map((land) => row(land, columns));
    const caption = make("caption", { class: "aside" }, "Classes and their share of the view");
    byId("shares").replaceChildren(caption, head, make("tbody", {}, ...rows));
  }
}

const key = ({ dataset, name }) => `${dataset.id} ${name}`;

function row(land, columns) {
  const cells = columns.map(({ percents }) => {
    const percent = percents?.get(land.name);
    return make("td", {}, percent === undefined ? "–" : `${percent.toFixed(1)} %`);
  });
  const bars = columns.map(({ percents }) =>
    bar((percents?.get(land.name) ?? 0) / 100, land.color),
  );
  const name = make(
    "span",
    { class: "class" },
    swatch(land.color),
    make("span", { class: "first" }, land.name),
  );
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, name, make("span", { class: "bars" }, ...bars)),
    ...cells,
  );
}

/** Percents with one digit that sum to 100: the largest remainders are rounded up. */
function percentsByName(classes, shares) {
  if (!shares?.some(({ share }) => share > 0)) return undefined;
  const exact = classes.map(
    ({ value }) => 1000 * (shares.find((item) => item.value === value)?.share ?? 0),
  );
  const whole = exact.map(Math.floor);
  const missing =
    Math.round(exact.reduce((sum, value) => sum + value, 0)) - whole.reduce((a, b) => a + b, 0);
  const order = [...exact.keys()].sort((a, b) => exact[b] - whole[b] - (exact[a] - whole[a]));
  for (const at of order.slice(0, Math.max(missing, 0))) whole[at] += 1;
  return new Map(classes.map(({ name }, at) => [name, whole[at] / 10]));
}
