// Keys: single letters act only where the focus is, so that they surprise nobody who types.

import { byId } from "./elements.js";

const TYPED = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea, dialog";

/** Acts on keys that are pressed while the focus is within some elements, by their ids. */
export function onKeys(ids, actions) {
  for (const id of ids) {
    byId(id).addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPED)) return;
      const act = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      event.preventDefault();
      act(event);
    });
  }
}
