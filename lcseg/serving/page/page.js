// The page of lcseg serve: what the state says is shown, and what people do changes the state.

import { ask } from "./answers.js";
import { Edits, takeToken } from "./edits.js";
import { byId, fillSelect, make, trouble } from "./elements.js";
import { showChanges } from "./changes.js";
import { onKeys } from "./keys.js";
import { Layers, farthest } from "./layers.js";
import { Legend } from "./legend.js";
import { showLinks } from "./links.js";
import { makeMap } from "./map.js";
import { Point } from "./point.js";
import {
  changeOf,
  defaultSides,
  hasView,
  layerOf,
  longDate,
  makeScene,
  minZoomOf,
  ofSide,
  sidesOf,
} from "./scene.js";
import { readHash, writeHash } from "./state.js";
import { Suspects } from "./suspects.js";
import { makeSwipe } from "./swipe.js";
import { Tiles } from "./tiles.js";
import { showViews } from "./views.js";

takeToken();
start();

async function start() {
  try {
    const { datasets } = await ask("datasets.json");
    if (datasets.length === 0) throw new Error("it names no data set");
    new Page(datasets);
  } catch (error) {
    fail(`The server cannot be used: ${error.message}.`);
    throw error;
  }
}

function fail(text) {
  const again = trouble(text, "Try again", () => window.location.reload());
  byId("error").replaceChildren(...again.childNodes);
  byId("error").hidden = false;
  document.body.classList.add("is-broken");
}

class Page {
  #datasets;
  #scene;
  #state = { view: "classes", swipe: 50, opacity: 100 };
  #map = makeMap();
  #tiles = new Tiles(this.#map.map, (counts) => this.#count(counts));
  #layers = new Layers(this.#map.map, this.#tiles);
  #legend = new Legend();
  #point = new Point((words) => this.#map.tag(words));
  #suspects = new Suspects(this.#map, new Edits(), (id) => this.#setSuspect(id));
  #swipe = makeSwipe((at) => this.#setSwipe(at));
  #far = 0;
  #moved = 0;
  #written = "";

  constructor(datasets) {
    this.#datasets = datasets;
    fillSelect(
      byId("dataset"),
      datasets.map(({ id, title, date }) => [id, date ? `${title}, ${longDate(date)}` : title]),
    );
    byId("chooser").hidden = datasets.length === 1;
    byId("name").hidden = byId("when").hidden = datasets.length > 1;
    this.#listen();
    this.#restore();
  }

  #listen() {
    byId("dataset").addEventListener("change", ({ target }) => this.#open(target.value));
    for (const side of ["left", "right"]) {
      byId(side).addEventListener("change", ({ target }) => this.#set({ [side]: target.value }));
    }
    byId("views").addEventListener("change", ({ target }) => this.#setView(target.value));
    byId("opacity").addEventListener("input", ({ target }) =>
      this.#setOpacity(Number(target.value)),
    );
    byId("change-over").addEventListener("change", ({ target }) =>
      this.#set({ change: target.checked }),
    );
    onKeys(["map", "change"], { c: () => this.#toggleChange() });
    onKeys(["map", "suspects"], {
      1: () => this.#showRight("imagery"),
      2: () => this.#showRight("prediction"),
      3: () => this.#showRight("reference"),
    });
    byId("retry").addEventListener("click", () => this.#tiles.retry());
    byId("closer").addEventListener("click", () => this.#map.zoomTo(this.#nearEnough()));
    this.#map.onWhole(() => this.#map.fit());
    this.#map.onPlace((lonlat) => this.#setPoint(lonlat, { isAsked: true }));
    this.#map.map.on("moveend", () => this.#move());
    window.addEventListener("hashchange", () => {
      takeToken();
      if (window.location.hash !== this.#written) this.#restore();
    });
  }

  /** Goes to what the hash says, and to what is usual where it says nothing. */
  #restore() {
    const given = readHash(window.location.hash);
    this.#open(given.data ?? this.#datasets[0].id, given);
  }

  #open(id, given = {}) {
    const before = this.#scene?.own;
    this.#scene = makeScene(this.#datasets, id);
    const { own } = this.#scene;
    const [left, right] = defaultSides(this.#scene);
    const change = changeOf(this.#scene) && Boolean(this.#scene.beside);
    this.#state = { ...this.#state, left, right, change, ...LEFT_BEHIND, ...given, data: own.id };
    this.#mendChoices(left, right);
    byId("name").textContent = own.title;
    byId("when").textContent = longDate(own.date);
    byId("dataset").value = own.id;
    document.title = `${own.title} – land cover`;
    this.#map.show(own.bounds, own.maxzoom);
    if (given.center) this.#map.goTo(given.center, given.zoom);
    else if (!before || !overlap(before.bounds, own.bounds)) this.#map.fit(own.minzoom);
    showLinks(own, () => this.#linkedLayer());
    this.#draw();
    this.#setPoint(this.#state.point);
    this.#suspects.open(own, this.#state.suspect);
  }

  /** What a hash asks for may not be there: a side of another data set, a view without a reference. */
  #mendChoices(left, right) {
    const names = sidesOf(this.#scene).map(([name]) => name);
    if (!names.includes(this.#state.left)) this.#state.left = left;
    if (!names.includes(this.#state.right)) this.#state.right = right;
    if (!hasView(this.#scene.own, this.#state.view)) this.#state.view = "classes";
    if (!changeOf(this.#scene)) this.#state.change = undefined;
  }

  #set(change) {
    Object.assign(this.#state, change);
    this.#draw();
    if (this.#state.point) this.#setPoint(this.#state.point);
  }

  #setView(view) {
    const { left, right } = this.#state;
    const isShown = [left, right].some((side) => side.endsWith("prediction"));
    this.#set(isShown ? { view } : { view, right: "prediction" });
  }

  #showRight(side) {
    const isThere = sidesOf(this.#scene).some(([name]) => name === side);
    if (isThere) this.#set({ right: side });
  }

  #setSuspect(id) {
    this.#state.suspect = id;
    this.#write();
  }

  #toggleChange() {
    if (changeOf(this.#scene)) this.#set({ change: !this.#state.change });
  }

  #setOpacity(opacity) {
    this.#state.opacity = opacity;
    byId("opacity").value = opacity;
    byId("opacity-value").textContent = `${opacity} %`;
    this.#layers.setOpacity(opacity);
    this.#write();
  }

  #setSwipe(swipe) {
    this.#state.swipe = swipe;
    this.#layers.setSwipe(swipe);
    this.#write();
  }

  #setPoint(lonlat, options) {
    this.#state.point = lonlat;
    this.#map.mark(lonlat);
    if (lonlat) this.#point.show(lonlat, this.#columns(), options);
    else this.#point.clear();
    this.#write();
  }

  #draw() {
    const { left, right, view, change, swipe, opacity } = this.#state;
    const sides = sidesOf(this.#scene);
    fillSelect(byId("left"), sides, left);
    fillSelect(byId("right"), sides, right);
    showViews(this.#scene.own, view);
    showChanges(this.#scene, change);
    byId("change-keys").hidden = change === undefined;
    this.#layers.show(this.#scene, this.#state);
    this.#layers.setSwipe(this.#swipe.show(swipe));
    this.#swipe.name(...[left, right].map((side) => new Map(sides).get(side)));
    this.#setOpacity(opacity);
    this.#legend.setColumns(this.#columns());
    this.#move();
  }

  /** The data sets whose predictions are compared; the one that was chosen where none is. */
  #columns() {
    const { own, beside, names } = this.#scene;
    const sides = [this.#state.left, this.#state.right].map((side) => ofSide(this.#scene, side));
    const isShown = (dataset) => dataset && sides.some((side) => side.dataset === dataset);
    const columns = sides
      .map(({ dataset }) => dataset)
      .filter((dataset, at, all) => all.indexOf(dataset) === at);
    const shown = isShown(own) && isShown(beside) ? columns : columns.slice(0, 1);
    return shown.map((dataset) => ({
      dataset,
      name: beside ? (dataset === own ? names.own : names.beside) : "Share",
    }));
  }

  #move() {
    clearTimeout(this.#moved);
    this.#moved = setTimeout(() => {
      const place = this.#map.place();
      if (!place) return;
      Object.assign(this.#state, place);
      this.#legend.update(this.#map.bounds());
      this.#count();
      this.#write();
    }, 150);
  }

  #write() {
    if (!this.#state.center) return;
    this.#written = writeHash(this.#state);
    window.history.replaceState(null, "", this.#written);
  }

  #linkedLayer() {
    const sides = [this.#state.right, this.#state.left].map((side) => ofSide(this.#scene, side));
    const { kind } = sides.find(
      ({ dataset, kind }) => dataset === this.#scene.own && kind !== "imagery",
    ) ?? {
      kind:
        this.#state.change && changeOf(this.#scene) === this.#scene.own ? "change" : "prediction",
    };
    return layerOf(this.#scene.own, kind, this.#state.view).name;
  }

  /** The zoom from which on all is there that the sides show. */
  #nearEnough() {
    const zooms = [this.#state.left, this.#state.right].map((side) => {
      const { dataset, kind } = ofSide(this.#scene, side);
      return minZoomOf(dataset, layerOf(dataset, kind, this.#state.view));
    });
    const far = this.#far > 0 ? Math.floor(this.#map.place().zoom) + 1 : 0;
    return Math.max(...zooms, far);
  }

  #count(counts) {
    if (counts) showCounts(counts);
    this.#far = counts?.far ?? this.#far;
    const resolution = this.#map.map.getView().getResolution();
    if (!this.#scene || !resolution) return;
    byId("far").hidden = this.#far === 0 && resolution < farthest(this.#nearEnough());
  }
}

function showCounts({ pending, failed }) {
  const show = (id, count, text) => {
    byId(id).hidden = count === 0;
    byId(id).textContent = text;
  };
  const tiles = (count) => (count === 1 ? "1 tile" : `${count} tiles`);
  show("pending", pending, `${tiles(pending)} pending`);
  show("failed", failed, `${failed} failed`);
  byId("retry").hidden = failed === 0;
  byId("status").hidden = pending + failed === 0;
}

/** What is of one data set alone. */
const LEFT_BEHIND = { point: undefined, suspect: undefined };

const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
