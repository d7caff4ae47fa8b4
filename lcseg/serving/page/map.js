// The map itself: where it is, what is marked on it, and which place people ask for.

import { byId, make } from "./elements.js";

const ol = window.ol;

export function makeMap() {
  const view = new ol.View({
    center: [0, 0],
    zoom: 2,
    constrainResolution: true,
    enableRotation: false,
  });
  const whole = new ol.control.Control({ element: wholeControl() });
  const map = new ol.Map({
    target: byId("map"),
    view,
    controls: [
      new ol.control.Zoom({ zoomInTipLabel: "Zoom in", zoomOutTipLabel: "Zoom out" }),
      whole,
      new ol.control.ScaleLine({ minWidth: 72 }),
    ],
    interactions: ol.interaction.defaults.defaults({
      altShiftDragRotate: false,
      pinchRotate: false,
    }),
    maxTilesLoading: 48,
  });
  for (const button of map.getTargetElement().querySelectorAll(".ol-zoom button")) {
    button.setAttribute("aria-label", button.title); // else it is read as a mere + or –
  }
  const outline = new ol.source.Vector();
  const place = new ol.source.Vector();
  const mark = new ol.source.Vector();
  // Managed by the map itself: they stay when the layers change.
  new ol.layer.Vector({ source: outline, style: doubleLine(), map });
  new ol.layer.Vector({ source: place, style: placeLine(), map });
  new ol.layer.Vector({ source: mark, style: ring(), map });
  const tag = makeTag(map);
  let extent;

  return {
    map,
    tag: tag.say,
    onWhole: (go) => whole.element.firstChild.addEventListener("click", go),

    /** Calls with [lon, lat] of a click, or of the centre at Enter. */
    onPlace(call) {
      map.on("singleclick", ({ coordinate }) => call(ol.proj.toLonLat(coordinate)));
      map.getTargetElement().addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.target !== map.getTargetElement()) return;
        event.preventDefault();
        call(ol.proj.toLonLat(view.getCenter()));
      });
    },

    show(bounds, maxZoom) {
      extent = ol.proj.transformExtent(bounds, "EPSG:4326", "EPSG:3857");
      outline.clear();
      outline.addFeature(new ol.Feature(ol.geom.Polygon.fromExtent(extent)));
      view.setMaxZoom(maxZoom + 1);
    },

    mark(lonlat) {
      mark.clear();
      tag.move(lonlat && ol.proj.fromLonLat(lonlat));
      if (lonlat) mark.addFeature(new ol.Feature(new ol.geom.Point(ol.proj.fromLonLat(lonlat))));
    },

    /** Draws the outline of a place, GeoJSON in degrees; undefined: none. */
    outline(geometry) {
      place.clear();
      if (!geometry) return;
      const read = new ol.format.GeoJSON().readGeometry(geometry, {
        dataProjection: "EPSG:4326",
        featureProjection: "EPSG:3857",
      });
      place.addFeature(new ol.Feature(read));
    },

    /** Flies to bounds in degrees, no closer than a zoom. */
    flyTo(bounds, maxZoom) {
      view.cancelAnimations();
      view.fit(ol.proj.transformExtent(bounds, "EPSG:4326", "EPSG:3857"), {
        padding: [90, 60, 60, 60],
        maxZoom,
        duration: still() ? 0 : 400,
      });
    },

    /** Shows all of the data set, or its middle where that would be farther out than a zoom. */
    fit(leastZoom = 0) {
      view.fit(extent, { padding: [8, 8, 8, 8] });
      if (view.getZoom() < leastZoom) view.setZoom(leastZoom);
    },

    goTo(center, zoom) {
      view.setCenter(ol.proj.fromLonLat(center));
      view.setZoom(zoom);
    },

    /** Goes to a zoom, and to the data if they are not in view. */
    zoomTo(zoom) {
      const seen = view.calculateExtent(map.getSize());
      const isThere = ol.extent.containsCoordinate(extent, view.getCenter());
      const part = ol.extent.intersects(seen, extent)
        ? ol.extent.getIntersection(seen, extent)
        : extent;
      const center = isThere ? view.getCenter() : ol.extent.getCenter(part);
      view.animate({ center, zoom, duration: still() ? 0 : 300 });
    },

    place() {
      if (!map.getSize() || !view.isDef()) return undefined;
      return { center: ol.proj.toLonLat(view.getCenter()), zoom: view.getZoom() };
    },

    bounds() {
      const seen = view.calculateExtent(map.getSize());
      return ol.proj.transformExtent(seen, "EPSG:3857", "EPSG:4326");
    },
  };
}

const still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function wholeControl() {
  const title = "Show the whole data set";
  const button = make("button", { type: "button", title, "aria-label": title });
  button.innerHTML =
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2.5 6V2.5H6m4 0h3.5V6m0 4v3.5H10m-4 0H2.5V10"/></svg>';
  return make("div", { class: "whole ol-unselectable ol-control" }, button);
}

/** Dark on light, so that it is seen on any ground. */
function doubleLine() {
  return lines([
    ["rgb(255 255 255 / 70%)", 3],
    ["rgb(20 24 27 / 70%)", 1],
  ]);
}

/** Of a colour that land cover does not have. */
function placeLine() {
  return lines([
    ["#fff", 5],
    ["#d6006c", 2.5],
  ]);
}

const lines = (strokes) =>
  strokes.map(
    ([color, width]) => new ol.style.Style({ stroke: new ol.style.Stroke({ color, width }) }),
  );

function ring() {
  return [
    ["#fff", 5],
    ["#14181b", 2],
  ].map(
    ([color, width]) =>
      new ol.style.Style({
        image: new ol.style.Circle({ radius: 8, stroke: new ol.style.Stroke({ color, width }) }),
      }),
  );
}

/** Words beside the mark. */
function makeTag(map) {
  const element = make("div", { class: "tag", "aria-hidden": "true" });
  const overlay = new ol.Overlay({
    element,
    positioning: "bottom-center",
    offset: [0, -16],
    stopEvent: false,
  });
  map.addOverlay(overlay);
  return {
    say(words) {
      const spans = words.flatMap((word) => [" → ", make("span", { class: "first" }, word)]);
      element.replaceChildren(...spans.slice(1));
      element.hidden = words.length === 0;
    },
    move(coordinate) {
      element.hidden = true;
      overlay.setPosition(coordinate);
    },
  };
}
