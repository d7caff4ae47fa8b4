// What is shown, and the hash of the address that says so.
//
//   #data=dover&map=17/39.15812/-75.52345&left=imagery&right=prediction&view=classes&swipe=50

const VIEWS = ["classes", "soft", "confidence", "difference"];
const SIDES = [
  "imagery",
  "prediction",
  "reference",
  "beside-imagery",
  "beside-prediction",
  "beside-reference",
  "change",
  "beside-change",
];

/** Reads a hash into what it holds; what is missing or makes no sense is left out. */
export function readHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const [zoom, lat, lon] = numbers(given.get("map"), "/", 3) ?? [];
  const state = {
    data: given.get("data") || undefined,
    left: oneOf(SIDES, given.get("left")),
    right: oneOf(SIDES, given.get("right")),
    view: oneOf(VIEWS, given.get("view")),
    swipe: percent(given.get("swipe")),
    opacity: percent(given.get("opacity")),
    change: { 0: false, 1: true }[given.get("change")],
    suspect: numbers(given.get("suspect"), ",", 1)?.[0],
    point: place(numbers(given.get("point"), ",", 2)),
    center: place(zoom === undefined ? undefined : [lon, lat]),
  };
  if (state.center) state.zoom = Math.min(Math.max(zoom, 0), 28);
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== undefined));
}

export function writeHash(state) {
  const [lon, lat] = state.center;
  const parts = {
    data: encodeURIComponent(state.data),
    map: `${short(state.zoom, 2)}/${short(lat, 6)}/${short(lon, 6)}`,
    left: state.left,
    right: state.right,
    view: state.view,
    swipe: Math.round(state.swipe),
    opacity: Math.round(state.opacity),
  };
  if (state.change !== undefined) parts.change = Number(state.change);
  if (state.suspect !== undefined) parts.suspect = state.suspect;
  if (state.point) parts.point = state.point.map((degrees) => short(degrees, 6)).join(",");
  return (
    "#" +
    Object.entries(parts)
      .map((part) => part.join("="))
      .join("&")
  );
}

const short = (number, digits) => Number(number.toFixed(digits));
const oneOf = (choices, name) => (choices.includes(name) ? name : undefined);

function numbers(text, separator, count) {
  const parts = (text ?? "").split(separator);
  const values = parts.map(Number);
  const good = parts.length === count && parts.every(Boolean) && values.every(Number.isFinite);
  return good ? values : undefined;
}

const place = (lonlat) =>
  lonlat && Math.abs(lonlat[0]) <= 180 && Math.abs(lonlat[1]) < 85.06 ? lonlat : undefined;

function percent(text) {
  const [value] = numbers(text, ",", 1) ?? [];
  return value === undefined ? undefined : Math.min(Math.max(value, 0), 100);
}
