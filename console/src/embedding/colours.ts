/**
 * Colours of data.
 *
 * Categories: 24 colours for each theme, chosen by computer so that the two that look most alike are as far apart as can be, in OKLab, for
 * people who see all colours and for those who lack red or green receptors (Machado, Oliveira, Fernandes 2009), each at least 3:1 against
 * the paper (WCAG 2.2, 1.4.11). In the order given the first few are always the most different. colours.test.ts measures all of that.
 *
 * Numbers: viridis (CC0, van der Walt and Smith 2015), which is perceptually uniform, read by most colour-blind people, and in order when
 * printed in grey. It begins at the end that is like the paper: cells without the gene recede.
 */

export type Theme = "light" | "dark";
export type Rgb = readonly [number, number, number];

const CATEGORIES: Record<Theme, string> = {
  light:
    "006cc0 d82400 54243c a878fc 0000cc 18a860 006054 480084 785490 3c7800 00909c 303c00 " +
    "840c9c 843c30 fc6060 b4246c 0c3c60 5400f0 b48400 6060fc e4489c 7890cc a86054 c00cc0",
  dark:
    "60a8fc a8fc00 cc1800 8418fc fc9000 246c84 9cfcf0 c084b4 fcb4fc b460fc fce49c cc0078 " +
    "b47800 e400cc fc5484 30d8cc fc6ce4 0c9c54 d8cc00 546c30 f0b49c 6cc054 3c78cc 9c54a8",
};

/** At every 8th of 256 values. */
const VIRIDIS =
  "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e 26828e 23898e 21918c " +
  "1f988b 1fa088 22a785 28ae80 32b67a 3fbc73 4ec36b 5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725";

const MISSING: Record<Theme, Rgb> = { light: [150, 152, 160], dark: [104, 109, 120] };

function parsed(text: string): Rgb[] {
  return text.split(" ").map((hex) => {
    const value = Number.parseInt(hex, 16);
    return [value >> 16, (value >> 8) & 255, value & 255] as const;
  });
}

const PALETTES: Record<Theme, readonly Rgb[]> = { light: parsed(CATEGORIES.light), dark: parsed(CATEGORIES.dark) };
export const PALETTE_SIZE = PALETTES.light.length;

export function categoryColour(code: number, theme: Theme): Rgb {
  const palette = PALETTES[theme];
  return palette[code % palette.length] ?? MISSING[theme];
}

export function missingColour(theme: Theme): Rgb {
  return MISSING[theme];
}

const STOPS = parsed(VIRIDIS);
const STEPS = 256;

function between(at: number): Rgb {
  const place = at * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  const [a, b] = [STOPS[low] as Rgb, STOPS[low + 1] as Rgb];
  const mix = (k: 0 | 1 | 2) => Math.round(a[k] + (b[k] - a[k]) * (place - low));
  return [mix(0), mix(1), mix(2)];
}

function steps(theme: Theme): Uint8Array {
  const colours = new Uint8Array(STEPS * 3);
  for (let step = 0; step < STEPS; step++) {
    const at = step / (STEPS - 1);
    colours.set(between(theme === "dark" ? at : 1 - at), step * 3);
  }
  return colours;
}

const SCALES: Record<Theme, Uint8Array> = { light: steps("light"), dark: steps("dark") };

/** Of a value between 0 and 1. */
export function scaleColour(value: number, theme: Theme): Rgb {
  const at = 3 * Math.round(Math.min(1, Math.max(0, value)) * (STEPS - 1));
  const scale = SCALES[theme];
  return [scale[at] as number, scale[at + 1] as number, scale[at + 2] as number];
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** RGBA of the cells in `order`, by category. */
export function coloursByCategory(
  codes: Uint16Array,
  categories: number,
  order: Uint32Array,
  theme: Theme,
): Uint8ClampedArray {
  const colours = new Uint8ClampedArray(order.length * 4);
  const palette = new Uint8Array((categories + 1) * 3);
  for (let code = 0; code < categories; code++) palette.set(categoryColour(code, theme), code * 3);
  palette.set(MISSING[theme], categories * 3);
  for (let place = 0; place < order.length; place++) {
    const from = 3 * Math.min(codes[order[place] as number] as number, categories);
    colours[4 * place] = palette[from] as number;
    colours[4 * place + 1] = palette[from + 1] as number;
    colours[4 * place + 2] = palette[from + 2] as number;
    colours[4 * place + 3] = 255;
  }
  return colours;
}

/** RGBA of the cells in `order`, by number, from `low` to `high`. */
export function coloursByNumber(
  values: Float32Array,
  [low, high]: readonly [number, number],
  order: Uint32Array,
  theme: Theme,
): Uint8ClampedArray {
  const colours = new Uint8ClampedArray(order.length * 4);
  const scale = SCALES[theme];
  const factor = high > low ? (STEPS - 1) / (high - low) : 0;
  for (let place = 0; place < order.length; place++) {
    const step = Math.round(((values[order[place] as number] as number) - low) * factor);
    // Not a number, as a missing value is, becomes 0 here.
    const from = 3 * Math.min(STEPS - 1, Math.max(0, step) || 0);
    colours[4 * place] = scale[from] as number;
    colours[4 * place + 1] = scale[from + 1] as number;
    colours[4 * place + 2] = scale[from + 2] as number;
    colours[4 * place + 3] = 255;
  }
  return colours;
}
