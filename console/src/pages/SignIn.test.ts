import { expect, it } from "vitest";
import { webAddress } from "./SignIn";

it.each(["https://login.example.org/oauth2/authorize?a=b", "http://127.0.0.1:8444/x"])("opens %s", (address) => {
  expect(webAddress(address)).toBe(address);
});

it.each([
  "javascript:alert(1)",
  "data:text/html,x",
  "JavaScript:alert(1)",
  "file:///etc/passwd",
  "",
  "/relative",
  "blob:x",
])("does not open %j", (address) => {
  expect(webAddress(address)).toBeNull();
});
