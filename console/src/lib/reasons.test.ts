/// <reference types="node" />
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { REASONS } from "./reasons";

test("the reasons and their meanings are the authorizer's", () => {
  const source = readFileSync("../lambda_authorizer/reasons.py", "utf8");
  const table = source.split('"""')[1] ?? "";
  const rows = [...table.matchAll(/^([a-z_]+) {2,}(\S.*)$/gm)].map((row) => [row[1], row[2]?.replaceAll("``", "")]);
  expect(rows.length).toBeGreaterThan(40);
  expect(REASONS).toEqual(Object.fromEntries(rows));
});
