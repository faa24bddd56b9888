import { afterEach, describe, expect, it } from "vitest";
import type { Configuration, Model } from "./api";
import { amend, chosen, commandWords, draft, keyOf, standing, startOver } from "./draft";

const option = (over = {}) => ({
  type: "integer",
  minimum: 0,
  maximum: 100,
  nullable: false,
  default: 20,
  description: "x",
  ...over,
});
const model = {
  options: {
    min_genes: option(),
    most: option({ nullable: true, default: null, minimum: 41 }),
    resolution: option({ type: "number" }),
  },
} as unknown as Model;
const configuration = { config: { min_genes: 30, most: 50, resolution: 0.5 } } as unknown as Configuration;

afterEach(startOver);

describe("an option", () => {
  it("stands at the configuration's value, else at its default", () => {
    expect(standing("min_genes", option(), configuration)).toBe(30);
    expect(standing("min_genes", option(), undefined)).toBe(20);
  });
});

describe("what is sent", () => {
  it("is what differs from the configuration", () => {
    const typed = { min_genes: "30", resolution: "0.8", other: "1" };
    expect(chosen(model, typed, configuration)).toEqual({ options: { resolution: 0.8 }, errors: {} });
  });

  it("is null where a limit is taken away", () => {
    expect(chosen(model, { most: "" }, configuration).options).toEqual({ most: null });
  });

  it("names every field that is wrong", () => {
    expect(Object.keys(chosen(model, { min_genes: "", most: "1", resolution: "1" }, configuration).errors)).toEqual([
      "min_genes",
      "most",
    ]);
  });

  it("has one key as long as it is the same, and another for another", () => {
    const first = keyOf({ a: 1 });
    expect(keyOf({ a: 1 })).toBe(first);
    const second = keyOf({ a: 2 });
    expect(second).not.toBe(first);
    startOver();
    expect(keyOf({ a: 2 })).not.toBe(second);
  });

  it("is the same as a command", () => {
    expect(commandWords("cells.h5ad", "basic", { resolution: 0.8, most: null }, "shared").join(" ")).toBe(
      "analyze cells.h5ad --type basic --option resolution=0.8 --option most=null --visibility shared",
    );
  });
});

it("a draft keeps what is not changed", () => {
  amend({ type: "basic" });
  amend({ visibility: "shared" });
  expect(draft.get()).toMatchObject({ type: "basic", visibility: "shared" });
});
