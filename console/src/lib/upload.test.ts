import { describe, expect, it } from "vitest";
import { ApiError } from "./api";
import { Pace } from "./pace";
import { bytesReceived, fits, left, missing, type Plan, pauseBefore, range } from "./upload";

const plan = (received: number[], parts = 4, part_bytes = 10): Plan => ({
  upload_id: "u",
  part_bytes,
  parts,
  received,
});

describe("the parts of an upload", () => {
  it("cover every byte once", () => {
    const size = 35;
    const all = [1, 2, 3, 4].map((number) => range(number, plan([]), size));
    expect(all).toEqual([
      [0, 10],
      [10, 20],
      [20, 30],
      [30, 35],
    ]);
  });

  it("are sent where they have not arrived", () => {
    expect(missing(plan([]))).toEqual([1, 2, 3, 4]);
    expect(missing(plan([4, 1]))).toEqual([2, 3]);
    expect(missing(plan([1, 2, 3, 4]))).toEqual([]);
  });

  it("count for their bytes, the last for fewer, none twice or beyond the file", () => {
    expect(bytesReceived(plan([]), 35)).toBe(0);
    expect(bytesReceived(plan([1, 4]), 35)).toBe(15);
    expect(bytesReceived(plan([1, 1, 2, 3, 4, 5, 0]), 35)).toBe(35);
  });

  it("must be as many as the file has", () => {
    expect(fits(plan([]), 35)).toBe(true);
    expect(fits(plan([]), 40)).toBe(true);
    expect(fits(plan([]), 41)).toBe(false);
    expect(fits(plan([]), 30)).toBe(false);
    expect(fits(plan([], 1, 0), 1)).toBe(false);
  });
});

describe("a part that failed", () => {
  const failure = (status: number, retryAfter?: number) => new ApiError(status, "x", "x", { retryAfter });

  it.each([0, 408, 429, 500, 502, 503])("is sent again after %i", (status) => {
    expect([0, 1, 2, 3, 4].map((attempt) => pauseBefore(attempt, failure(status)))).toEqual([1, 2, 4, 8, 16]);
    expect(pauseBefore(5, failure(status))).toBeNull();
  });

  it("waits as long as it is told to", () => {
    expect(pauseBefore(0, failure(429, 30))).toBe(30);
  });

  it.each([400, 401, 403, 404, 409, 413])("is not sent again after %i", (status) => {
    expect(pauseBefore(0, failure(status))).toBeNull();
  });

  it("is not sent again after what is no answer", () => {
    expect(pauseBefore(0, new TypeError("x"))).toBeNull();
  });
});

describe("speed and time left", () => {
  it("are of the last seconds, not of the whole", () => {
    const pace = new Pace();
    for (let second = 0; second <= 60; second += 1) pace.note(second < 30 ? 0 : (second - 30) * 100, second * 1000);
    expect(pace.rate()).toBe(100);
  });

  it("are not told too early or while nothing goes", () => {
    const pace = new Pace();
    expect(pace.rate()).toBeNull();
    pace.note(0, 0);
    pace.note(10, 100);
    expect(pace.rate()).toBeNull();
    pace.note(10, 20_000);
    pace.note(10, 40_000);
    expect(pace.rate()).toBeNull();
  });

  it("say how long the rest takes", () => {
    const file = { size: 1000 } as File;
    expect(left({ file, done: 400, rate: 100 })).toBe(6);
    expect(left({ file, done: 400, rate: null })).toBeNull();
  });
});
