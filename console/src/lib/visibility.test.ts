import { expect, it } from "vitest";
import { asOption, named, ownerName, visibleTo, wrong } from "./visibility";

it("says who sees it", () => {
  expect(visibleTo("private")).toBe("Owner and administrators");
  expect(visibleTo("shared")).toBe("Everyone with a role");
  expect(visibleTo(["a"], "me")).toBe("1 person named");
  expect(visibleTo(["a", "me"], "me")).toBe("You and 1 person named");
  expect(visibleTo(["me"], "me")).toBe("You, by name");
});

it("reads ids however they are separated, each once", () => {
  expect(named(" a, b\nc;a ")).toEqual(["a", "b", "c"]);
});

it("tells what the API would refuse, and an e-mail address, which is no id", () => {
  expect(wrong("private")).toBeNull();
  expect(wrong(["a"])).toBeNull();
  expect(wrong([])).toMatch(/at least one/);
  expect(wrong(Array.from({ length: 26 }, (_, index) => `p${index}`))).toMatch(/26/);
  expect(wrong(["ana@example.org"])).toMatch(/ana@example.org/);
});

it("is written as the command takes it", () => {
  expect(asOption("shared")).toBe("shared");
  expect(asOption(["a", "b"])).toBe("a,b");
});

it("calls the owner you", () => {
  expect(ownerName("me", "me")).toBe("you");
  expect(ownerName("3e10979f-3d05-44a9-a60d-bef6ef85b054", "me")).toBe("3e10979f…");
});
