import { describe, expect, it } from "vitest";
import { ago, bytes, duration, measured, moment, money } from "./format";
import { whyQueued } from "./states";

describe("figures for people", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [64 * 2 ** 20, "67.1 MB"],
    [2e9, "2.0 GB"],
  ])("%i bytes are %s", (count, text) => {
    expect(bytes(count)).toBe(text);
  });

  it.each([
    [-1, "0 s"],
    [59.4, "59 s"],
    [60, "1 min 0 s"],
    [3600, "1 h 0 min"],
    [200_000, "2 days"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it.each([
    [2, "just now"],
    [42, "42 s ago"],
    [3599, "59 min ago"],
    [7200, "2 h ago"],
    [400_000, "4 days ago"],
  ])("%i seconds back is %s", (seconds, text) => {
    expect(ago(new Date(1_000_000_000 - seconds * 1000).toISOString(), 1_000_000_000)).toBe(text);
  });

  it.each([
    [0, "$0.00"],
    [0.003, "less than $0.01"],
    [0.126, "$0.13"],
  ])("%d dollars are %s", (usd, text) => {
    expect(money(usd)).toBe(text);
  });

  it("four digits count", () => {
    expect(measured(0.123456)).toBe("0.1235");
    expect(measured(1e-9)).toBe("1.00e-9");
  });

  it("what is no moment is shown as it is", () => {
    expect(moment("soon")).toBe("soon");
    expect(moment(null)).toBe("");
  });
});

describe("why an analysis waits", () => {
  it.each([
    [0, /next/],
    [1, /^One other/],
    [7, /^7 others/],
    [undefined, /thousand/],
  ])("%s before it", (position, words) => {
    expect(whyQueued(position)).toMatch(words);
  });
});
