import { expect, test } from "vitest";
import {
  canRevoke,
  canRotate,
  type KeyRecord,
  needsSigning,
  publicKey,
  rangesIn,
  stateOf,
  wrongName,
  wrongNumber,
  wrongRanges,
} from "./keys";

const NOW = Date.parse("2026-11-30T12:00:00Z");

function record(more: Partial<KeyRecord>): KeyRecord {
  return {
    key_id: "01J8ZQ4Y7M3W5X9K2B6C1D0EFG",
    name: "nightly",
    principal: "program:nightly",
    scopes: ["analyses:read"],
    source_ranges: [],
    signed: false,
    created_at: NOW / 1000 - 3600,
    created_by: null,
    expires_at: NOW / 1000 + 3600,
    revoked_at: null,
    replaced_by: null,
    last_used_at: null,
    ...more,
  };
}

test.each([
  [{}, "active", true, true],
  [{ expires_at: null }, "active", true, true],
  [{ replaced_by: "01J8ZQ4Y7M3W5X9K2B6C1D0EFH" }, "ending", false, true],
  [{ expires_at: NOW / 1000 }, "ended", false, false],
  [{ expires_at: NOW / 1000 - 1, replaced_by: "01J8ZQ4Y7M3W5X9K2B6C1D0EFH" }, "ended", false, false],
  [{ revoked_at: NOW / 1000 - 60 }, "revoked", false, false],
  [{ name: null }, "active", false, true],
] as const)("a key with %j is %s", (more, state, rotate, revoke) => {
  const key = record(more);
  expect([stateOf(key, NOW), canRotate(key, NOW), canRevoke(key, NOW)]).toEqual([state, rotate, revoke]);
});

test.each(["nightly", "a", "0-1", "a".repeat(64)])("%s names a program", (name) => {
  expect(wrongName(name)).toBeUndefined();
});

test.each(["", "-a", "Nightly", "a b", "é", "a".repeat(65), "<script>"])("%j names none", (name) => {
  expect(wrongName(name)).toBeDefined();
});

test("ranges are read apart, and what is none is named", () => {
  expect(rangesIn("192.0.2.0/24\n 2001:db8::/48, 198.51.100.7")).toEqual([
    "192.0.2.0/24",
    "2001:db8::/48",
    "198.51.100.7",
  ]);
  expect(wrongRanges("")).toBeUndefined();
  expect(wrongRanges("192.0.2.0/24 2001:db8::/48 198.51.100.7 ::ffff:192.0.2.1")).toBeUndefined();
  expect(wrongRanges("192.0.2.0/24 office")).toMatch(/^office is no range/);
  expect(wrongRanges("192.0.2.0/24 192.0.2.0/24")).toBe("Write each range once.");
  expect(wrongRanges(Array.from({ length: 17 }, (_, i) => `10.0.${i}.0/24`).join(" "))).toMatch(/at most 16/);
});

test.each([
  ["1", undefined],
  ["365", undefined],
  ["0", "Write a whole number from 1 to 365."],
  ["366", "Write a whole number from 1 to 365."],
  ["", "Write a whole number from 1 to 365."],
  ["1.5", "Write a whole number from 1 to 365."],
  ["1e2", "Write a whole number from 1 to 365."],
])("%j days", (text, wrong) => {
  expect(wrongNumber(text, 1, 365)).toBe(wrong);
});

test("only what a fresh sign-in is needed for has to be signed", () => {
  expect(needsSigning(["config:read", "analyses:write"])).toBe(false);
  expect(needsSigning(["config:write"])).toBe(true);
});

// RFC 8410, section 10.1.
const PEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`;
const RAW = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

test("a public signing key is taken in both forms", () => {
  expect(publicKey(PEM)).toEqual({ key: RAW });
  expect(publicKey(` ${RAW}\n`)).toEqual({ key: RAW });
});

test.each([
  "",
  `${RAW}=`,
  RAW.slice(1),
  `${RAW.slice(0, -1)}F`,
  PEM.replace("MCow", "MCox"),
  PEM.replace("ZuE=", ""),
  "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
])("%j is no public signing key", (text) => {
  expect(publicKey(text)).toEqual({ wrong: expect.stringMatching(/^Give an Ed25519 public key/) });
});

test("a private key is told from a public one", () => {
  expect(publicKey("-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----")).toEqual({
    wrong: expect.stringMatching(/^This is the private key/),
  });
});
