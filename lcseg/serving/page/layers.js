// The layers of the map: what lies left of the handle, what right, what on both sides.

import { drawContours } from "./contour.js";
import { changeOf, layerOf, minZoomOf, ofSide } from "./scene.js";

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
    this.#shown = wantedLayers(scene, state).map(({ dataset, layer, sides }) => {
      const made = this.#keep(`${dataset.id}/${layer.name}`, () => this.#make(dataset, layer));
      made.set("sides", sides);
      return made;
    });
    const changed = state.change && changeOf(scene);
    if (changed) this.#shown.push(this.#overlay(changed));
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

  #keep(key, make) {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }

  /** What changed, as contours over both sides. */
  #overlay(dataset) {
    const layer = layerOf(dataset, "change");
    const below = this.#keep(`${dataset.id}/change`, () => this.#make(dataset, layer));
    return this.#keep(`${dataset.id}/contours`, () => {
      // On a canvas of its own, which has nothing else to be made clear.
      const made = new ol.layer.Tile({
        source: below.getSource(),
        extent: below.getExtent(),
        className: "ol-layer contours",
        properties: { name: "contours" },
      });
      made.on("postrender", ({ context, frameState }) =>
        drawContours(context, frameState.pixelRatio),
      );
      return made;
    });
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
  return [...wanted.values()];
}

/** The resolution from which on tiles of a zoom would no longer be the nearest. */
export function farthest(zoom) {
  return 1.5 * ol.tilegrid.createXYZ({ maxZoom: zoom }).getResolution(zoom);
}
