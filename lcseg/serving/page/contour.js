// Contours: what lies over the ground must not hide it.

const WIDTH = 2; // of the line, in pixels of the page
const FILL = 0.3; // how much of the colour is left inside of it

/** Makes the inside of all that is drawn on a canvas so clear that only its contour is opaque. */
export function drawContours(context, pixelRatio) {
  const { canvas } = context;
  if (!canvas.width || !canvas.height) return;
  const inside = new OffscreenCanvas(canvas.width, canvas.height);
  const inner = inside.getContext("2d");
  inner.drawImage(canvas, 0, 0);
  const reach = Math.round(WIDTH * pixelRatio);
  inner.globalCompositeOperation = "destination-in";
  for (const [x, y] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    inner.drawImage(canvas, x * reach, y * reach);
  }
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "destination-out";
  context.globalAlpha = 1 - FILL;
  context.drawImage(inside, 0, 0);
  context.restore();
}
