import { Deck, OrthographicView, type PickingInfo } from "@deck.gl/core";
import { useEffect, useRef } from "react";
import type { Camera, Size } from "./camera";
import { PointsLayer } from "./PointsLayer";

/** What is drawn: of each cell two numbers and four bytes, as the graphics card takes them. */
export interface Points {
  positions: Float32Array;
  colours: Uint8ClampedArray;
  radius: number;
}

export interface Pointed {
  /** Its place among the points drawn. */
  place: number;
  x: number;
  y: number;
}

/** A change of what is drawn that is measured, from the moment at which everything for it was there. */
export interface Timed {
  name: string;
  since: number;
}

interface Props {
  points: Points;
  camera: Camera;
  size: Size;
  timed: Timed | null;
  onCamera: (camera: Camera) => void;
  onPoint: (pointed: Pointed | null) => void;
  onBroken: () => void;
}

const VIEW = new OrthographicView({ id: "umap", flipY: false });

/** A point that nobody sees. With it the shaders are compiled while the cells are still on their way. */
export const WARM_UP: Points = { positions: new Float32Array(2), colours: new Uint8ClampedArray(4), radius: 1 };

/** Calls back when the graphics card has done what it was told until now. */
function whenDone(gl: WebGL2RenderingContext, done: () => void): void {
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  const look = () => {
    if (fence && gl.clientWaitSync(fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
      requestAnimationFrame(look);
      return;
    }
    gl.deleteSync(fence);
    done();
  };
  requestAnimationFrame(look);
}

function layerOf({ positions, colours, radius }: Points) {
  return new PointsLayer({
    id: "cells",
    data: {
      length: positions.length / 2,
      attributes: { getPosition: { value: positions, size: 2 }, getColor: { value: colours, size: 4 } },
    },
    diameter: 2 * radius,
    pickable: true,
  });
}

/** Points on a canvas. React tells deck.gl what changed, and nothing else: no object a point anywhere. */
export function Scatter({ points, camera, size, timed, onCamera, onPoint, onBroken }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const deck = useRef<Deck<OrthographicView>>(null);
  const pending = useRef<Timed | null>(null);
  const calls = useRef({ onCamera, onPoint, onBroken });
  calls.current = { onCamera, onPoint, onBroken };

  useEffect(() => {
    const made = new Deck<OrthographicView>({
      parent: box.current,
      views: VIEW,
      // The layer smooths its circles by itself.
      deviceProps: { webgl: { antialias: false } },
      controller: { keyboard: false, dragRotate: false, inertia: false },
      // Up and down a finger scrolls the page.
      touchAction: "pan-y",
      onViewStateChange: ({ viewState: { target, zoom } }) => {
        calls.current.onCamera({ target: [target?.[0] ?? 0, target?.[1] ?? 0], zoom: Number(zoom) });
      },
      onHover: ({ index, x, y }: PickingInfo) => calls.current.onPoint(index < 0 ? null : { place: index, x, y }),
      onAfterRender: ({ gl }) => {
        const measured = pending.current;
        if (!measured) return;
        pending.current = null;
        whenDone(gl, () => performance.measure(measured.name, { start: measured.since, end: performance.now() }));
      },
      // The first is about the device: without WebGL there is none.
      onError: () => calls.current.onBroken(),
    });
    deck.current = made;
    return () => {
      made.finalize();
      deck.current = null;
    };
  }, []);

  useEffect(() => {
    deck.current?.setProps({ layers: [layerOf(points)] });
  }, [points]);

  useEffect(() => {
    pending.current = timed;
  }, [timed]);

  useEffect(() => {
    deck.current?.setProps({
      width: size.width,
      height: size.height,
      viewState: { target: [...camera.target, 0], zoom: camera.zoom, minZoom: -4, maxZoom: 14 },
    });
  }, [camera, size]);

  return <div ref={box} className="scatter-canvas" />;
}
