// What the server answers, and how long it wants to be left alone when it is busy.

const WAIT_S = 2;
const LONGEST_WAIT_S = 30;

/** How long the server asks us to wait, in milliseconds. */
export function retryAfterMs(response) {
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  return (
    1000 * Math.min(Number.isFinite(seconds) ? Math.max(seconds, 0.5) : WAIT_S, LONGEST_WAIT_S)
  );
}

/** Asks for a JSON document, again and again while the server is busy (503). */
export async function ask(url, { signal, onBusy = () => {} } = {}) {
  for (;;) {
    const response = await reach(url, { signal });
    if (response.ok) return response.json();
    if (response.status !== 503) throw new Error(await reason(response));
    onBusy();
    await pause(retryAfterMs(response), signal);
  }
}

/** Sends a request; that nobody answers is an error in words. */
export async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("the server does not answer");
  }
}

/** What the server says is wrong. */
export async function reason(response) {
  const body = await response.json().catch(() => ({}));
  return body?.error ?? `the server answered ${response.status}`;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
