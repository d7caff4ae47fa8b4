// The layers of the map: what lies left of the handle, what right, what on both sides.

import { layerOf, minZoomOf, ofSide } from "./scene.js";

const ol = window.ol;

export class Layers {
  #map;
  #tiles;
  #made = new Map(); // layers by name, kept with their tiles when they are not shown
  #shown = [];
  #swipe = 50;

  constructor(map, tiles) {
    this.#map = map;
    this.#tiles = tiles;
  }

  /** Shows what a state asks for. */
  show(scene, state) {
    this.#shown = wantedLayers(scene, state).map(([key, { dataset, layer, sides }]) => {
      if (!this.#made.has(key)) this.#made.set(key, this.#make(dataset, layer));
      const made = this.#made.get(key);
      made.set("sides", sides);
      return made;
    });
    this.setOpacity(state.opacity);
    this.#map.setLayers(this.#shown);
    this.#tiles.showOnly(this.#shown.map((layer) => layer.getSource()));
  }

  setOpacity(opacity) {
    for (const layer of this.#shown) {
      if (layer.get("name") !== "imagery") layer.setOpacity(opacity / 100);
    }
  }

  setSwipe(swipe) {
    this.#swipe = swipe;
    this.#map.render();
  }

  #make(dataset, layer) {
    const { name } = layer;
    const minZoom = minZoomOf(dataset, layer);
    const url = dataset.links.xyz.replace("{layer}", name);
    const made = new ol.layer.Tile({
      source: this.#tiles.makeSource(url, minZoom, dataset.maxzoom, name === "imagery"),
      extent: ol.proj.transformExtent(dataset.bounds, "EPSG:4326", "EPSG:3857"),
      maxResolution: farthest(minZoom),
      cacheSize: 128,
      properties: { name },
    });
    made.on("prerender", (event) => this.#clip(event, made.get("sides")));
    made.on("postrender", (event) => event.context.restore());
    return made;
  }

  #clip(event, sides) {
    const { context } = event;
    const [width, height] = this.#map.getSize();
    const at = (width * this.#swipe) / 100;
    const from = sides.has("left") ? 0 : at;
    const to = sides.has("right") ? width : at;
    context.save();
    context.beginPath();
    for (const corner of [
      [from, 0],
      [to, 0],
      [to, height],
      [from, height],
    ]) {
      context.lineTo(...ol.render.getRenderPixel(event, corner));
    }
    context.closePath();
    context.clip();
  }
}

/** Under each side lies its imagery; what both sides show is drawn once. */
function wantedLayers(scene, state) {
  const wanted = new Map();
  for (const isBase of [true, false]) {
    for (const side of ["left", "right"]) {
      const { dataset, kind } = ofSide(scene, state[side]);
      const layer = layerOf(dataset, isBase ? "imagery" : kind, state.view);
      if (!layer) continue;
      const key = `${dataset.id}/${layer.name}`;
      if (!wanted.has(key)) wanted.set(key, { dataset, layer, sides: new Set() });
      wanted.get(key).sides.add(side);
    }
  }
  return [...wanted];
}

/** The resolution from which on tiles of a zoom would no longer be the nearest. */
export function farthest(zoom) {
  return 1.5 * ol.tilegrid.createXYZ({ maxZoom: zoom }).getResolution(zoom);
}
