import { expect, test } from "vitest";
import { type Check, commandIn, grouped, verdict } from "./status";

function check(name: string, state: Check["state"] = "pass"): Check {
  return { name, state, detail: "" };
}

test("checks stand with what they are about, and an unheard one is not lost", () => {
  const found = grouped([check("tunnel"), check("session"), check("service"), check("moon"), check("clock")]);
  expect(found.map(({ title, checks }) => [title, checks.map(({ name }) => name)])).toEqual([
    ["The environment", ["service", "clock"]],
    ["You", ["session"]],
    ["This machine", ["tunnel"]],
    ["More", ["moon"]],
  ]);
});

test("the worst of them is the verdict", () => {
  expect(verdict([check("a"), check("b")])).toEqual({ state: "pass", words: "All 2 in order" });
  expect(verdict([check("a"), check("b", "warn")])).toEqual({ state: "warn", words: "1 of 2 to look at" });
  expect(verdict([check("a", "fail"), check("b", "warn")])).toEqual({ state: "fail", words: "1 of 2 to repair" });
});

test.each([
  ["Sign in: heartmapctl login --environment dev", "heartmapctl login --environment dev"],
  ["heartmapctl login", "heartmapctl login"],
  ["chmod 600 /home/me/session", "chmod 600 /home/me/session"],
  ["Set this machine's clock: sudo timedatectl set-ntp true", "sudo timedatectl set-ntp true"],
  ["Try again.", null],
  ["Update heartmapctl.", null],
  ["Compare with its description: /etc/x; is the VPN up, where one is needed?", null],
])("what can be copied of %j", (step, command) => {
  expect(commandIn(step)).toBe(command);
});
