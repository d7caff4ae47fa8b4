// Loading tiles, so that those which are pending, busy and failed are told apart.
//
//   const tiles = new Tiles(map, (counts) => …);      counts: { pending, failed, far }
//   const layer = new ol.layer.Tile({ source: tiles.makeSource("tiles/dover/…/{z}/{x}/{y}.png", …) });

import { retryAfterMs } from "./answers.js";

const ol = window.ol;
const ERROR = 3; // OpenLayers' ol/TileState
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

export class Tiles {
  #map;
  #report;
  #shown = new Set();
  #open = new Map(); // what is not shown yet, by address: { tile, source, state, at, abort }
  #timer = 0;

  constructor(map, report) {
    this.#map = map;
    this.#report = report;
    map.on("moveend", () => this.#look());
  }

  /** A source of tiles; classes must not be mixed between pixels, so only imagery is interpolated. */
  makeSource(url, minZoom, maxZoom, interpolate) {
    const source = new ol.source.XYZ({
      url,
      interpolate,
      wrapX: false,
      transition: 0,
      tileGrid: ol.tilegrid.createXYZ({ minZoom, maxZoom }),
      tileLoadFunction: (tile, address) => this.#load(source, tile, address),
    });
    return source;
  }

  /** Tries again what failed. */
  retry() {
    for (const entry of this.#open.values()) {
      if (entry.state === "failed") Object.assign(entry, { state: "waiting", at: 0 });
    }
    this.#look();
  }

  /** Attends to the tiles of these sources alone; those of others wait until they are shown. */
  showOnly(sources) {
    this.#shown = new Set(sources);
    this.#look();
  }

  async #load(source, tile, address) {
    const entry = { tile, source, state: "loading", at: 0, abort: new AbortController() };
    this.#open.get(address)?.abort.abort();
    this.#open.set(address, entry);
    this.#tell();
    try {
      const note = await fetchInto(tile, address, entry.abort.signal);
      if (note) entry.state = "far";
      else if (this.#open.get(address) === entry) this.#open.delete(address);
    } catch (problem) {
      // OpenLayers frees its place in the queue, and loads the tile again when it is told to.
      const waitMs = problem.name === "AbortError" ? 0 : problem.waitMs;
      entry.state = waitMs === undefined ? "failed" : "waiting";
      entry.at = performance.now() + (waitMs ?? 0);
      tile.setState(ERROR);
    }
    this.#look();
  }

  /** Loads again what is due, and gives up what has left the view until it comes back. */
  #look() {
    clearTimeout(this.#timer);
    const view = this.#map.getView();
    // A view on its way asks for the tiles of where it goes.
    const isAtRest = !view.getAnimating() && !view.getInteracting();
    const now = performance.now();
    let next = Infinity;
    for (const entry of this.#open.values()) {
      const isSeen = this.#isSeen(entry);
      if (entry.state === "loading" && !isSeen && isAtRest) entry.abort.abort();
      if (entry.state !== "waiting" || !isSeen) continue;
      if (entry.at <= now) entry.tile.load();
      else next = Math.min(next, entry.at);
    }
    if (next < Infinity) this.#timer = setTimeout(() => this.#look(), next - now + 20);
    this.#tell();
  }

  #tell() {
    const seen = [...this.#open.values()].filter((entry) => this.#isSeen(entry));
    const count = (...states) => seen.filter(({ state }) => states.includes(state)).length;
    this.#report({
      pending: count("loading", "waiting"),
      failed: count("failed"),
      far: count("far"),
    });
  }

  #isSeen({ tile, source }) {
    const view = this.#map.getView();
    const size = this.#map.getSize();
    if (!this.#shown.has(source) || !size || !view.isDef()) return false;
    const grid = source.getTileGrid();
    const [z] = tile.getTileCoord();
    if (z !== grid.getZForResolution(view.getResolution())) return false;
    return ol.extent.intersects(
      grid.getTileCoordExtent(tile.getTileCoord()),
      view.calculateExtent(size),
    );
  }
}

async function fetchInto(tile, address, signal) {
  const image = tile.getImage();
  const response = await fetch(address, { signal, priority: "low" });
  if (response.status === 503) throw { waitMs: retryAfterMs(response) };
  if (!response.ok) throw new Error(`${response.status}`);
  // A tile with a note is a picture of its words, for clients that know nothing else.
  const note = response.headers.get("X-Lcseg-Note");
  const url = note ? NOTHING : URL.createObjectURL(await response.blob());
  try {
    image.src = url;
    await image.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
  return note;
}
