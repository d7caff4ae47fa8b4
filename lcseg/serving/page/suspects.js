// Labels that may be wrong: a list to step through, and what people say of each.

import { ask } from "./answers.js";
import { byId, fillSelect, make, swatch } from "./elements.js";
import { onKeys } from "./keys.js";

const AGAIN_MS = 10_000;
const VERDICTS = { w: "wrong", r: "right", u: "unsure", 0: null };
const UNKNOWN = "";

export class Suspects {
  #map;
  #edits;
  #onChoose;
  #dataset;
  #list = []; // as the server tells them, the most certain first
  #version = "";
  #chosen; // id
  #asked = new AbortController();
  #drawn = new AbortController();

  constructor(map, edits, onChoose) {
    this.#map = map;
    this.#edits = edits;
    this.#onChoose = onChoose;
    const next = () => this.#step(1);
    const previous = () => this.#step(-1);
    onKeys(["map", "suspects"], {
      j: next,
      n: next,
      k: previous,
      p: previous,
      ...Object.fromEntries(Object.keys(VERDICTS).map((key) => [key, () => this.#tell(key)])),
    });
    onKeys(["suspect-list"], {
      ArrowDown: next,
      ArrowUp: previous,
      Home: () => this.choose(this.#list[0]?.id),
      End: () => this.choose(this.#list.at(-1)?.id),
    });
    byId("suspect-list").addEventListener("click", ({ target }) => {
      const row = target.closest("[role=option]");
      if (row) this.choose(Number(row.dataset.id));
    });
    byId("verdicts").addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) this.#tell(button.dataset.key);
    });
    byId("new-class").addEventListener("change", () => {
      if (this.#find()?.verdict === "wrong") this.#tell("w");
    });
    window.setInterval(() => this.#refresh(), AGAIN_MS);
    document.addEventListener("visibilitychange", () => this.#refresh());
  }

  /** Lists those of a data set, and chooses one by its id, where the map stays. */
  async open(dataset, chosen) {
    const isSame = this.#dataset === dataset;
    this.#dataset = dataset;
    byId("suspects").hidden = !dataset.suspects;
    if (!isSame) {
      this.#list = [];
      this.#version = "";
      this.#draw();
    }
    this.#complain("");
    this.choose(undefined);
    if (!dataset.suspects) return;
    await this.#refresh();
    if (this.#dataset === dataset) this.choose(chosen, { flies: false });
  }

  /** Chooses one, draws its outline, and has the map fly to it. */
  choose(id, { flies = true } = {}) {
    const suspect = this.#list.find((one) => one.id === id);
    this.#chosen = suspect?.id;
    this.#onChoose(this.#chosen);
    this.#complain("");
    this.#drawChosen();
    if (suspect && flies) this.#map.flyTo(suspect.bounds, this.#dataset.nativezoom + 1);
    this.#outline();
  }

  #find() {
    return this.#list.find(({ id }) => id === this.#chosen);
  }

  #step(by) {
    const at = this.#list.findIndex(({ id }) => id === this.#chosen);
    const next = at < 0 ? (by > 0 ? 0 : this.#list.length - 1) : at + by;
    const { id } = this.#list[Math.min(Math.max(next, 0), this.#list.length - 1)] ?? {};
    if (id !== undefined && id !== this.#chosen) this.choose(id);
  }

  /** Asks whether the file has changed; the browser knows what it has. */
  async #refresh() {
    const dataset = this.#dataset;
    if (!dataset?.suspects || document.hidden) return;
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    let isBusy = false;
    const onBusy = () => {
      isBusy = true;
      this.#complain("The list cannot be read just now; still asking …");
    };
    try {
      const told = await ask(`suspects/${dataset.id}`, { signal, onBusy });
      if (signal.aborted) return;
      if (isBusy) this.#complain("");
      const version = `${told.version} ${told.editable}`;
      if (version === this.#version) return;
      this.#version = version;
      this.#list = told.suspects;
      byId("verdict").dataset.editable = told.editable;
      this.#draw();
      if (!this.#find()) this.choose(undefined);
    } catch (error) {
      if (!signal.aborted) this.#complain(`The list cannot be had: ${error.message}.`);
    }
  }

  async #outline() {
    this.#drawn.abort();
    const { signal } = (this.#drawn = new AbortController());
    this.#map.outline(undefined);
    if (this.#chosen === undefined) return;
    try {
      const told = await ask(`suspects/${this.#dataset.id}/${this.#chosen}`, { signal });
      if (!signal.aborted) this.#map.outline(told.geometry);
    } catch (error) {
      if (!signal.aborted) this.#complain(`No outline: ${error.message}.`);
    }
  }

  async #tell(key) {
    const suspect = this.#find();
    if (!suspect || byId("verdict").dataset.editable !== "true") return;
    const verdict = VERDICTS[key];
    const said = { verdict };
    if (verdict === "wrong") said.new_class = byId("new-class").value || null;
    const dataset = this.#dataset;
    byId("verdict").setAttribute("aria-busy", "true");
    try {
      const told = await this.#edits.tell(`suspects/${dataset.id}/${suspect.id}/verdict`, said);
      if (!told || dataset !== this.#dataset) return;
      this.#list = this.#list.map((one) => (one.id === told.suspect.id ? told.suspect : one));
      this.#complain("");
      this.#draw();
      this.#refresh();
    } catch (error) {
      this.#complain(`Place ${suspect.id}: ${error.message}.`);
    } finally {
      byId("verdict").removeAttribute("aria-busy");
    }
  }

  #complain(text) {
    byId("suspects-error").textContent = text;
  }

  #draw() {
    const isMany = new Set(this.#list.map(({ scene }) => scene)).size > 1;
    const rows = this.#list.map((suspect) => row(suspect, this.#dataset.classes, isMany));
    byId("suspect-list").replaceChildren(...rows);
    byId("suspect-list").hidden = rows.length === 0;
    const judged = this.#list.filter(({ verdict }) => verdict).length;
    byId("suspects-count").textContent = rows.length
      ? `${judged} of ${rows.length} judged, the most certain first.`
      : "None lies on this image.";
    this.#drawChosen();
  }

  #drawChosen() {
    const list = byId("suspect-list");
    for (const one of list.children) {
      one.setAttribute("aria-selected", String(Number(one.dataset.id) === this.#chosen));
    }
    const suspect = this.#find();
    byId("verdict").hidden = !suspect;
    list.removeAttribute("aria-activedescendant");
    if (!suspect) return;
    list.setAttribute("aria-activedescendant", rowId(suspect));
    scrollWithin(list, byId(rowId(suspect)));
    byId("suspect-note").textContent = suspect.note;
    byId("verdict-form").hidden = byId("verdict").dataset.editable !== "true";
    for (const button of byId("verdicts").children) {
      const verdict = VERDICTS[button.dataset.key];
      button.setAttribute("aria-pressed", String(verdict !== null && verdict === suspect.verdict));
    }
    const names = this.#dataset.classes.map(({ name }) => name);
    const wanted = suspect.new_class ?? (suspect.verdict === "wrong" ? UNKNOWN : suspect.suggested);
    const choices = [...names.map((name) => [name, name]), [UNKNOWN, "not known: leave it out"]];
    fillSelect(byId("new-class"), choices, names.includes(wanted) ? wanted : UNKNOWN);
  }
}

const rowId = ({ id }) => `suspect-${id}`;

function row(suspect, classes, isMany) {
  const { id, label, suggested, confidence, area_m2, verdict, new_class, scene } = suspect;
  const named = (name) => {
    const land = classes.find((one) => one.name === name);
    return make(
      "span",
      { class: "class" },
      land && swatch(land.color),
      make("span", { class: "first" }, name || "any"),
    );
  };
  const said = verdict === "wrong" ? `wrong: ${new_class ?? "class not known"}` : verdict;
  const facts = [
    confidence !== null && `${Math.round(100 * confidence)} % sure`,
    area_m2 !== null && area(area_m2),
    isMany && scene,
  ];
  return make(
    "div",
    { role: "option", id: rowId(suspect), "data-id": id, "aria-selected": "false" },
    make("span", { class: "number" }, String(id)),
    make("span", { class: "becomes" }, named(label), " → ", named(suggested || new_class)),
    make("span", { class: "facts" }, facts.filter(Boolean).join(", ")),
    Boolean(said) && make("span", { class: `said is-${verdict}` }, said),
  );
}

function area(m2) {
  const number = (value, digits) =>
    value.toLocaleString("en-US", { maximumSignificantDigits: digits });
  return m2 < 10_000 ? `${number(m2, 3)} m²` : `${number(m2 / 10_000, 3)} ha`;
}

/** Moves the list alone: the panel stays where people have it. */
function scrollWithin(list, element) {
  if (!element) return;
  const [outer, inner] = [list, element].map((each) => each.getBoundingClientRect());
  if (inner.top < outer.top) list.scrollTop += inner.top - outer.top;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}
