// What the model says at a point, and the reference.

import { ask } from "./answers.js";
import { bar, byId, make, swatch, trouble } from "./elements.js";

const HINT = "Click on the map, or focus it and press Enter for the place at its centre.";

export class Point {
  #asked = new AbortController();
  #onAnswer;

  constructor(onAnswer) {
    this.#onAnswer = onAnswer;
  }

  clear() {
    this.#asked.abort();
    byId("point-text").replaceChildren(make("p", { class: "quiet" }, HINT));
  }

  /** Asks for what is at a place, of each of the data sets: [{ dataset, name }]. */
  async show(lonlat, columns, { isAsked = false } = {}) {
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    const text = byId("point-text");
    const where = make("p", { class: "where" }, placeName(lonlat));
    text.replaceChildren(where, make("p", { class: "quiet" }, "Reading …"));
    const onBusy = () =>
      text.replaceChildren(
        where,
        make("p", { class: "quiet" }, "The server is busy; still asking …"),
      );
    try {
      const [lon, lat] = lonlat;
      const answers = await Promise.all(
        columns.map(({ dataset }) =>
          ask(`identify/${dataset.id}?lon=${lon}&lat=${lat}`, { signal, onBusy }),
        ),
      );
      if (signal.aborted) return;
      const many = columns.length > 1;
      const blocks = answers.map((answer, at) =>
        block(answer, many ? columns[at].name : undefined),
      );
      text.replaceChildren(where, ...blocks);
      // Where the panel is low, as on a phone, the answer would be out of sight.
      if (isAsked) byId("point").scrollIntoView({ block: "nearest" });
      this.#onAnswer(answers.map((answer) => summary(answer, many)));
    } catch (error) {
      if (signal.aborted) return;
      const again = trouble(`No answer: ${error.message}.`, "Retry", () =>
        this.show(lonlat, columns, { isAsked }),
      );
      text.replaceChildren(where, again);
      this.#onAnswer([]);
    }
  }
}

function block(answer, title) {
  const head = title && make("h3", {}, title);
  if (!answer.class) {
    const why = answer.inside ? "Nothing is mapped here." : "This is outside of the map.";
    return make(
      "div",
      {},
      head,
      make("p", { class: "quiet" }, why),
      reference(answer),
      changed(answer),
    );
  }
  const name = make(
    "span",
    { class: "class best" },
    swatch(answer.class.color),
    make("span", { class: "first" }, answer.class.name),
  );
  const rows = answer.probabilities.map((item) => {
    const isBest = item.value === answer.class.value;
    return make(
      "li",
      { class: isBest && "is-best" },
      make("span", { class: "first" }, item.name),
      bar(item.probability, item.color),
      make("span", { class: "number" }, percent(item.probability)),
    );
  });
  const list = make(
    "ul",
    { class: "probabilities", "aria-label": "Probability of each class" },
    ...rows,
  );
  return make("div", {}, head, make("p", {}, name), list, reference(answer), changed(answer));
}

function reference({ label, class: predicted }) {
  if (!label) return undefined;
  const agrees = label.value === predicted.value;
  return make(
    "p",
    { class: "reference" },
    "Reference: ",
    swatch(label.color),
    make("span", { class: "first" }, label.name),
    make("span", { class: agrees ? "agrees" : "differs" }, agrees ? "agrees" : "differs"),
  );
}

function changed({ change }) {
  if (!change) return undefined;
  const sure =
    change.probability === null ? "" : ` (probability of change ${percent(change.probability)})`;
  if (!change.changed) return make("p", { class: "reference" }, `No change${sure}`);
  return make(
    "p",
    { class: "reference" },
    "Change: ",
    swatch(change.color),
    make("span", { class: "first" }, change.name + sure),
  );
}

function summary(answer, isShort) {
  if (!answer.class) return "no data";
  return isShort ? answer.class.name : `${answer.class.name} ${percent(answer.confidence)}`;
}

function percent(share) {
  if (share > 0 && share < 0.005) return "< 1 %";
  if (share < 1 && share >= 0.995) return "> 99 %";
  return `${Math.round(100 * share)} %`;
}

function placeName([lon, lat]) {
  const side = (degrees, plus, minus) =>
    `${Math.abs(degrees).toFixed(5)}° ${degrees < 0 ? minus : plus}`;
  return `${side(lat, "N", "S")}, ${side(lon, "E", "W")}`;
}
