import { expect, test, vi } from "vitest";
import { api } from "./api";
import { isAddress, nameOf, readPeople, roleLabel, roleOfUser, statusText, type User } from "./users";

function user(more: Partial<User> = {}): User {
  return {
    username: "a@example.org",
    subject: "s",
    email: null,
    groups: [],
    enabled: true,
    status: "CONFIRMED",
    mfa: null,
    created_at: "2026-11-30T09:00:00Z",
    changed_at: "2026-11-30T09:00:00Z",
    ...more,
  };
}

test("of several roles the one with the most rights counts, and groups of others are none", () => {
  expect(roleOfUser(user({ groups: ["viewer", "admin"] }))).toBe("admin");
  expect(roleOfUser(user({ groups: ["operators"] }))).toBeNull();
  expect(roleLabel(null)).toBe("No role");
});

test("somebody is called by the address, else by the username", () => {
  expect(nameOf(user({ email: "b@example.org" }))).toBe("b@example.org");
  expect(nameOf(user())).toBe("a@example.org");
});

test("a status that nobody knows is shown as it is", () => {
  expect(statusText("CONFIRMED")).toBe("has signed in");
  expect(statusText("BRAND_NEW")).toBe("BRAND_NEW");
});

test.each(["name@example.org", "first.last+x@sub.example.org"])("%s is an address", (text) => {
  expect(isAddress(text)).toBe(true);
});

test.each(["", "name", "name@", "@example.org", "name@example", "a b@example.org", `${"a".repeat(250)}@x.org`])(
  "%j is no address",
  (text) => {
    expect(isAddress(text)).toBe(false);
  },
);

test("all pages are read, each cursor in one piece", async () => {
  const get = vi
    .spyOn(api, "get")
    .mockResolvedValueOnce({ users: [user()], next_cursor: "a&b=c" })
    .mockResolvedValueOnce({ users: [user({ username: "b" })] });
  const people = await readPeople();
  expect(people.users).toHaveLength(2);
  expect(people.more).toBe(false);
  expect(get.mock.calls.map(([path]) => path)).toEqual(["/api/users?limit=60", "/api/users?limit=60&cursor=a%26b%3Dc"]);
  get.mockRestore();
});

test("a list without an end is not read without an end", async () => {
  const get = vi.spyOn(api, "get").mockResolvedValue({ users: [user()], next_cursor: "again" });
  const people = await readPeople();
  expect(people.more).toBe(true);
  expect(get).toHaveBeenCalledTimes(20);
  get.mockRestore();
});
