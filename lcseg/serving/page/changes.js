// What has changed: whether it is drawn over both sides, and what its colours mean.

import { byId, make, swatch } from "./elements.js";
import { changeOf } from "./scene.js";

const SHOWN = 6;

/** Offers the change layer of a scene, if it has one. */
export function showChanges(scene, isOver) {
  const dataset = changeOf(scene);
  byId("change").hidden = !dataset;
  if (!dataset) return;
  byId("change-over").checked = isOver;
  const rows = dataset.changes.map(({ name, color }) =>
    make(
      "li",
      { class: "class" },
      swatch(color),
      make("span", {}, make("span", { class: "first" }, name)),
    ),
  );
  const more = rows.splice(SHOWN);
  const list = make("ul", { class: "changes" }, ...rows);
  const rest =
    more.length > 0 &&
    make(
      "details",
      {},
      make("summary", { class: "quiet" }, `${more.length} more, which are rarer`),
      make("ul", { class: "changes" }, ...more),
    );
  const none = rows.length === 0 && make("p", { class: "quiet" }, "Nothing has changed.");
  byId("change-key").replaceChildren(...[list, rest, none].filter(Boolean));
}
