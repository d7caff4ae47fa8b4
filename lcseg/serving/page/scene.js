// What a data set can show: its sides, the layer behind each, and its dates.

const LAYERS = {
  imagery: () => "imagery",
  prediction: (view) => view,
  reference: () => "labels",
  change: () => "change",
};
const TITLES = {
  imagery: "Imagery",
  prediction: "Prediction",
  reference: "Reference",
  change: "Change",
};

/** A data set with its partner of another date, which is undefined where there is none. */
export function makeScene(datasets, id) {
  const own = datasets.find((dataset) => dataset.id === id) ?? datasets[0];
  const beside = datasets.find((dataset) => dataset.id === own.beside && dataset !== own);
  return { own, beside, names: dateNames(own, beside) };
}

/** The data set and the kind (imagery, prediction, reference, change) of a side. */
export function ofSide(scene, side) {
  const isBeside = side.startsWith("beside-");
  return { dataset: isBeside ? scene.beside : scene.own, kind: side.replace("beside-", "") };
}

/** All sides that there are: [name, label]. */
export function sidesOf(scene) {
  return [
    ["", scene.own, scene.names.own],
    ["beside-", scene.beside, scene.names.beside],
  ].flatMap(([prefix, dataset, name]) =>
    Object.keys(LAYERS)
      .filter((kind) => dataset && layerOf(dataset, kind, "classes"))
      .filter((kind) => kind !== "change" || dataset === changeOf(scene))
      .map((kind) => {
        // What changed is of both dates.
        const isDated = scene.beside && kind !== "change";
        return [prefix + kind, isDated ? `${TITLES[kind]} ${name}` : TITLES[kind]];
      }),
  );
}

/** The data set that knows what has changed; undefined where none does. */
export function changeOf(scene) {
  return [scene.own, scene.beside].find((dataset) => dataset && layerOf(dataset, "change"));
}

/** The earlier date to the left and the later one to the right: imagery where it is known what
 * changed, else predictions. Imagery and prediction where there is but one date. */
export function defaultSides(scene) {
  if (!scene.beside) return ["imagery", "prediction"];
  const kind = changeOf(scene) ? "imagery" : "prediction";
  const sides = [kind, `beside-${kind}`];
  const isLater = scene.own.date && scene.beside.date && scene.own.date > scene.beside.date;
  return isLater ? sides.reverse() : sides;
}

/** The layer that shows a kind of thing; classes stand in for a view that a data set lacks. */
export function layerOf(dataset, kind, view) {
  const named = (name) => dataset.layers.find((layer) => layer.name === name);
  const layer = named(LAYERS[kind](view));
  return layer ?? (kind === "prediction" ? named("classes") : undefined);
}

export const hasView = (dataset, view) => dataset.layers.some((layer) => layer.name === view);

/** The zoom from which a layer is there. */
export const minZoomOf = (dataset, layer) =>
  layer.minzoom ?? (layer.name === "imagery" ? 0 : dataset.minzoom);

export function longDate(date) {
  if (!date) return "";
  const day = new Date(`${date.slice(0, 10)}T00:00:00Z`);
  if (Number.isNaN(day.valueOf())) return date;
  return day.toLocaleDateString("en-GB", { dateStyle: "long", timeZone: "UTC" });
}

function dateNames(own, beside) {
  if (!beside) return { own: longDate(own.date) || own.title };
  const years = [own, beside].map(({ date }) => date?.slice(0, 4));
  if (years.every(Boolean) && years[0] !== years[1]) return { own: years[0], beside: years[1] };
  if (own.date && beside.date && own.date !== beside.date) {
    return { own: own.date.slice(0, 10), beside: beside.date.slice(0, 10) };
  }
  return { own: own.title, beside: beside.title };
}
