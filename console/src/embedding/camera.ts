/** Where one looks from. deck.gl's orthographic view: at zoom z one unit of the UMAP is 2^z pixels. */
export interface Camera {
  target: [number, number];
  zoom: number;
}

export interface Size {
  width: number;
  height: number;
}

const MARGIN = 24;
/** Closer than this a cell fills the view. */
const MAX_ZOOM = 14;

/** Shows every cell. */
export function fitted(x: Float32Array, y: Float32Array, { width, height }: Size): Camera {
  let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let cell = 0; cell < x.length; cell++) {
    const [px, py] = [x[cell] as number, y[cell] as number];
    if (px < left) left = px;
    if (px > right) right = px;
    if (py < bottom) bottom = py;
    if (py > top) top = py;
  }
  if (left > right) return { target: [0, 0], zoom: 0 };
  const across = Math.max(width - 2 * MARGIN, 1) / Math.max(right - left, 1e-6);
  const up = Math.max(height - 2 * MARGIN, 1) / Math.max(top - bottom, 1e-6);
  return {
    target: [(left + right) / 2, (bottom + top) / 2],
    zoom: Math.min(Math.log2(Math.min(across, up)), MAX_ZOOM),
  };
}

export function zoomed(camera: Camera, by: number): Camera {
  return { ...camera, zoom: Math.min(Math.max(camera.zoom + by, -4), MAX_ZOOM) };
}

/** Moves by pixels: right and up. */
export function panned({ target, zoom }: Camera, right: number, up: number): Camera {
  return { target: [target[0] + right / 2 ** zoom, target[1] + up / 2 ** zoom], zoom };
}

/** Where a point of the UMAP is on the screen. */
export function onScreen(camera: Camera, { width, height }: Size, x: number, y: number): [number, number] {
  const scale = 2 ** camera.zoom;
  return [width / 2 + (x - camera.target[0]) * scale, height / 2 - (y - camera.target[1]) * scale];
}

/** A cell's radius: small when there are many, and slowly larger when one comes closer. */
export function radius(cells: number, zoomedIn: number): number {
  const least = Math.min(4, Math.max(1, 320 / Math.sqrt(Math.max(cells, 1))));
  return Math.min(9, least * 2 ** (Math.max(zoomedIn, 0) / 2));
}
