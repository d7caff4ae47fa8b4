// Writing, for those who have the token that the server was started with.

import { reach, reason } from "./answers.js";
import { byId } from "./elements.js";

const KEY = "lcseg-token";
const WHY = "Writing takes the token that the server was started with.";
const AGAIN = "That was not the token of this server.";

/** Takes a token out of the address, so that nobody copies it with a link. */
export function takeToken() {
  const given = new URLSearchParams(window.location.hash.replace(/^#/, ""));
  const token = given.get("token");
  if (token === null) return;
  remember(token);
  given.delete("token");
  const hash = String(given) && `#${decodeURIComponent(given)}`;
  window.history.replaceState(
    null,
    "",
    `${window.location.pathname}${window.location.search}${hash}`,
  );
}

export class Edits {
  /** Posts something; undefined where the person has no token to show. */
  async tell(url, said) {
    let why = WHY;
    for (;;) {
      const token = recall() || (await askForToken(why));
      if (!token) return undefined;
      const response = await reach(url, {
        method: "POST",
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        body: JSON.stringify(said),
      });
      if (response.status === 401) {
        remember("");
        why = AGAIN;
        continue;
      }
      if (!response.ok) throw new Error(await reason(response));
      remember(token);
      return response.json();
    }
  }
}

let kept = "";

function remember(token) {
  kept = token;
  try {
    window.sessionStorage.setItem(KEY, token);
  } catch {
    // Where the browser keeps nothing, it is asked for again with the next page.
  }
}

function recall() {
  try {
    return kept || window.sessionStorage.getItem(KEY);
  } catch {
    return kept;
  }
}

function askForToken(why) {
  const [dialog, form, field] = ["token-dialog", "token-form", "token"].map(byId);
  byId("token-why").textContent = why;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      dialog.close(field.value);
    };
    byId("token-cancel").onclick = () => dialog.close("");
    dialog.onclose = () => {
      field.value = "";
      resolve(dialog.returnValue);
    };
  });
}
