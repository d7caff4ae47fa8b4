// The handle between the two sides: drag it, or move it by the arrow keys.

import { byId } from "./elements.js";

const STEPS = {
  ArrowLeft: -2,
  ArrowDown: -2,
  ArrowRight: 2,
  ArrowUp: 2,
  PageDown: -10,
  PageUp: 10,
};

/** Makes the handle live; onMove gets where it is, in percent of the map's width. */
export function makeSwipe(onMove) {
  const [swipe, knob] = [byId("swipe"), byId("knob")];
  let at = 50;

  function show(percent) {
    at = Math.min(Math.max(percent, 0), 100);
    swipe.style.setProperty("--at", `${at}%`);
    knob.setAttribute("aria-valuenow", String(Math.round(at)));
    return at;
  }

  function drag(event) {
    const { left, width } = swipe.parentElement.getBoundingClientRect();
    onMove(show((100 * (event.clientX - left)) / width));
  }

  swipe.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    swipe.setPointerCapture(event.pointerId);
    event.preventDefault();
    knob.focus({ preventScroll: true });
  });
  swipe.addEventListener("pointermove", (event) => {
    if (swipe.hasPointerCapture(event.pointerId)) drag(event);
  });
  knob.addEventListener("keydown", (event) => {
    const ends = { Home: 0, End: 100 };
    const step = STEPS[event.key] * (event.shiftKey ? 5 : 1);
    const next = ends[event.key] ?? (Number.isFinite(step) ? at + step : undefined);
    if (next === undefined) return;
    event.preventDefault();
    onMove(show(next));
  });

  return {
    show,
    name(left, right) {
      knob.setAttribute("aria-label", `Swipe between ${left} and ${right}`);
    },
  };
}
