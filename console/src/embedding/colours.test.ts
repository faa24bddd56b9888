import { describe, expect, test } from "vitest";
import {
  categoryColour,
  coloursByCategory,
  coloursByNumber,
  missingColour,
  PALETTE_SIZE,
  type Rgb,
  scaleColour,
  type Theme,
} from "./colours";

type Row = readonly [number, number, number];
type Matrix = readonly [Row, Row, Row];
/** Machado, Oliveira, Fernandes 2009, severity 1, on linear sRGB. */
const PROTANOPIA: Matrix = [
  [0.152286, 1.052583, -0.204868],
  [0.114503, 0.786281, 0.099216],
  [-0.003882, -0.048116, 1.051998],
];
const DEUTERANOPIA: Matrix = [
  [0.367322, 0.860646, -0.227968],
  [0.280085, 0.672501, 0.047413],
  [-0.01182, 0.04294, 0.968881],
];
const SEEN: Matrix = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];
const LMS: Matrix = [
  [0.4122214708, 0.5363325363, 0.0514459929],
  [0.2119034982, 0.6806995451, 0.1073969566],
  [0.0883024619, 0.2817188376, 0.6299787005],
];
const LAB: Matrix = [
  [0.2104542553, 0.793617785, -0.0040720468],
  [1.9779984951, -2.428592205, 0.4505937099],
  [0.0259040371, 0.7827717662, -0.808675766],
];
const PAPER: Record<Theme, Rgb> = { light: [255, 255, 255], dark: [20, 22, 26] };
const THEMES: Theme[] = ["light", "dark"];

const times = (matrix: Matrix, [a, b, c]: Row): Row => {
  const [x, y, z] = matrix.map((row) => row[0] * a + row[1] * b + row[2] * c);
  return [x ?? 0, y ?? 0, z ?? 0];
};
const each = (row: Row, change: (value: number) => number): Row => [change(row[0]), change(row[1]), change(row[2])];
const linear = (colour: Rgb) =>
  each(colour, (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
const clip = (row: Row) => each(row, (v) => Math.min(1, Math.max(0, v)));
const oklab = (colour: Rgb, seenAs: Matrix) =>
  times(LAB, each(times(LMS, clip(times(seenAs, linear(colour)))), Math.cbrt));
const luminance = (colour: Rgb) => {
  const [r, g, b] = linear(colour);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one: Rgb, other: Rgb) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
};
const closest = (count: number, theme: Theme, seenAs: Matrix) => {
  const all = Array.from({ length: count }, (_, code) => oklab(categoryColour(code, theme), seenAs));
  return Math.min(
    ...all.flatMap((a, i) => all.slice(i + 1).map((b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]))),
  );
};

describe.each(THEMES)("the %s palette", (theme) => {
  test("stands out from the paper", () => {
    for (let code = 0; code < PALETTE_SIZE; code++) {
      expect(contrast(categoryColour(code, theme), PAPER[theme])).toBeGreaterThanOrEqual(3);
    }
  });

  test("has no two colours that look alike, for whom it may be", () => {
    // 0.02 is what one just notices in OKLab.
    expect(closest(PALETTE_SIZE, theme, SEEN)).toBeGreaterThan(0.11);
    expect(closest(PALETTE_SIZE, theme, PROTANOPIA)).toBeGreaterThan(0.06);
    expect(closest(PALETTE_SIZE, theme, DEUTERANOPIA)).toBeGreaterThan(0.06);
    expect(closest(8, theme, SEEN)).toBeGreaterThan(0.14);
    expect(closest(8, theme, DEUTERANOPIA)).toBeGreaterThan(0.08);
  });

  test("has a scale whose lightness rises evenly away from the paper", () => {
    const light = Array.from({ length: 11 }, (_, k) => oklab(scaleColour(k / 10, theme), SEEN)[0]);
    const steps = light.slice(1).map((value, k) => (theme === "dark" ? 1 : -1) * (value - (light[k] ?? 0)));
    for (const step of steps) expect(step).toBeGreaterThan(0.03);
  });
});

test("cells take the colour of their category, and grey where they have none", () => {
  const colours = coloursByCategory(Uint16Array.from([1, 65_535]), 2, Uint32Array.from([1, 0]), "light");
  expect([...colours]).toEqual([...missingColour("light"), 255, ...categoryColour(1, "light"), 255]);
});

test("more categories than colours begin again", () => {
  expect(categoryColour(PALETTE_SIZE + 2, "dark")).toEqual(categoryColour(2, "dark"));
});

test("cells take the colour of their value in the range", () => {
  const values = Float32Array.from([0, 5, 10, Number.NaN]);
  const colours = coloursByNumber(values, [0, 10], Uint32Array.from([0, 1, 2, 3]), "dark");
  const at = (k: number) => [...colours.slice(4 * k, 4 * k + 3)];
  expect(at(0)).toEqual([...scaleColour(0, "dark")]);
  expect(at(1)).toEqual([...scaleColour(0.5, "dark")]);
  expect(at(2)).toEqual([...scaleColour(1, "dark")]);
  expect(at(3)).toEqual(at(0));
  // A gene that no cell has: one colour, and no division by nothing.
  expect([...coloursByNumber(Float32Array.from([0]), [0, 0], Uint32Array.from([0]), "dark")].slice(0, 3)).toEqual(
    at(0),
  );
});
