// Addresses for other programs: what is copied is also shown, for browsers that forbid copying.

import { byId, make } from "./elements.js";

const TITLES = { xyz: "XYZ", wmts: "WMTS", imageserver: "ImageServer" };

/** Makes a button for each link of a data set, and one for the view itself. */
export function showLinks(dataset, layerName) {
  const buttons = Object.entries(TITLES)
    .filter(([name]) => dataset.links[name])
    .map(([name, title]) =>
      copyButton(name, title, () => absolute(dataset.links[name], layerName())),
    );
  const view = copyButton("view", "This view", () => window.location.href);
  byId("links").replaceChildren(...buttons, view);
  byId("copied-url").hidden = true;
  byId("copied-label").textContent = "";
}

/** The whole address; {z}, {x} and {y} stay as they are, for the other program to fill in. */
function absolute(link, layer) {
  const url = new URL(link.replace("{layer}", layer), document.baseURI).href;
  return url.replaceAll("%7B", "{").replaceAll("%7D", "}");
}

function copyButton(name, title, url) {
  const hint = name === "view" ? "Copy a link to this view" : `Copy the ${title} address`;
  const button = make(
    "button",
    { type: "button", "data-link": name, "aria-label": hint, title: hint },
    title,
  );
  button.addEventListener("click", () => copy(title, url()));
  return button;
}

async function copy(title, url) {
  const field = byId("copied-url");
  field.value = url;
  field.hidden = false;
  const isCopied = await toClipboard(url, field);
  byId("copied-label").textContent = isCopied
    ? `${title} address copied`
    : `${title} address, to copy`;
}

async function toClipboard(text, field) {
  try {
    // Only there where the page is secure: https, or localhost.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.select();
    return document.execCommand("copy");
  }
}
