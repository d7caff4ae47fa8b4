// The ways to show a prediction, and what their colours mean.

import { byId, make, swatch } from "./elements.js";
import { hasView } from "./scene.js";

const VIEWS = {
  classes: ["Classes", "The most likely class of every pixel."],
  soft: ["Soft", "Colours of the classes, mixed by how likely each is."],
  confidence: ["Confidence", "How sure the model is of what it says."],
  difference: ["Difference", "Where prediction and reference differ."],
};
const KEYS = {
  confidence: () => [
    make("span", {}, "0 %"),
    make("span", { class: "ramp" }),
    make("span", {}, "100 %"),
  ],
  difference: () => [word("#d62828", "differs"), word("#c8c8c8", "agrees")],
};

/** Offers the views that a data set has. */
export function showViews(dataset, chosen) {
  const segments = Object.keys(VIEWS)
    .filter((view) => hasView(dataset, view))
    .map((view) => {
      const input = make("input", { type: "radio", name: "view", value: view });
      input.checked = view === chosen;
      return make("label", {}, input, make("span", {}, VIEWS[view][0]));
    });
  const focused = byId("views").contains(document.activeElement);
  byId("views").replaceChildren(...segments);
  if (focused) byId("views").querySelector(":checked").focus();
  byId("view-means").textContent = VIEWS[chosen][1];
  byId("view-key").replaceChildren(...(KEYS[chosen]?.() ?? []));
}

const word = (color, text) => make("span", { class: "class" }, swatch(color), text);
