// Making and finding elements.

export const byId = (id) => document.getElementById(id);

/** Makes an element: `make("p", { class: "quiet" }, "text", child)`; what is false is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

/** A little square of a class's colour. */
export function swatch(color) {
  const element = make("span", { class: "swatch", "aria-hidden": "true" });
  element.style.setProperty("--color", color);
  return element;
}

/** A bar that fills a share (0 to 1) of its track. */
export function bar(share, color) {
  const element = make("span", { class: "bar", "aria-hidden": "true" });
  element.style.setProperty("--color", color);
  element.style.setProperty("--share", `${100 * Math.min(Math.max(share, 0), 1)}%`);
  return element;
}

/** A message with its button. */
export function trouble(text, label, action) {
  const button = make("button", { type: "button" }, label);
  button.addEventListener("click", action);
  return make("p", { class: "trouble" }, text, " ", button);
}

export function fillSelect(select, choices, chosen) {
  const options = choices.map(([value, label]) => make("option", { value }, label));
  select.replaceChildren(...options);
  select.value = chosen;
}
