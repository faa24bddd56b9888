/** API keys of programs, as the API shows them and as it takes what asks for one. Times are in seconds since the epoch. */
export interface KeyRecord {
  key_id: string;
  name: string | null;
  principal: string | null;
  scopes: string[];
  source_ranges: string[];
  signed: boolean;
  created_at: number | null;
  created_by: string | null;
  expires_at: number | null;
  revoked_at: number | null;
  replaced_by: string | null;
  last_used_at: number | null;
}

/** With the key itself, which no later answer holds. */
export interface NewKey extends KeyRecord {
  key: string;
}

export const KEYS = ["keys"];
export const DEFAULT_DAYS = 90;
export const MOST_DAYS = 365;
export const DEFAULT_OVERLAP = 24;
export const MOST_OVERLAP = 168;
export const MOST_RANGES = 16;

/** What a scope opens, in the order in which they build on each other. docs/api-keys.md names the routes. */
export const SCOPES: readonly { scope: string; opens: string }[] = [
  { scope: "models:read", opens: "the types of analysis and their options" },
  { scope: "config:read", opens: "the configuration and its history" },
  { scope: "config:write", opens: "changing the configuration; its calls have to be signed" },
  { scope: "uploads:read", opens: "seeing its data sets" },
  { scope: "uploads:write", opens: "uploading data sets" },
  { scope: "analyses:read", opens: "seeing its analyses and their results" },
  { scope: "analyses:write", opens: "running and cancelling analyses" },
];

/** Scopes for which a key has to sign its calls. */
const SIGNED_SCOPES = ["config:write"];

export function needsSigning(scopes: readonly string[]): boolean {
  return scopes.some((scope) => SIGNED_SCOPES.includes(scope));
}

export type KeyState = "active" | "ending" | "ended" | "revoked";

/** `ending`: another key has taken its place, and it goes on until its end. */
export function stateOf(key: KeyRecord, now = Date.now()): KeyState {
  if (key.revoked_at !== null) return "revoked";
  if (key.expires_at !== null && key.expires_at * 1000 <= now) return "ended";
  return key.replaced_by === null ? "active" : "ending";
}

/** The service replaces a key once, and only one that still holds. */
export function canRotate(key: KeyRecord, now = Date.now()): boolean {
  return stateOf(key, now) === "active" && key.name !== null;
}

export function canRevoke(key: KeyRecord, now = Date.now()): boolean {
  const state = stateOf(key, now);
  return state === "active" || state === "ending";
}

export function wrongName(name: string): string | undefined {
  return /^[a-z0-9][a-z0-9-]{0,63}$/.test(name)
    ? undefined
    : "Write 1 to 64 lower-case letters, digits and hyphens, with no hyphen at the beginning.";
}

/** The address ranges in a text, one a line or apart by commas or spaces. */
export function rangesIn(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

export function wrongRanges(text: string): string | undefined {
  const ranges = rangesIn(text);
  if (ranges.length > MOST_RANGES) return `Write at most ${MOST_RANGES} ranges.`;
  if (new Set(ranges).size !== ranges.length) return "Write each range once.";
  // Whether a bit is set after the prefix, the service says.
  const odd = ranges.find((range) => !/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:.]*:[0-9a-f:.]*)(\/\d{1,3})?$/i.test(range));
  return odd === undefined ? undefined : `${odd} is no range: write it as 192.0.2.0/24 or 2001:db8::/48.`;
}

export function wrongNumber(text: string, least: number, most: number): string | undefined {
  const value = Number(text);
  return /^\d{1,4}$/.test(text.trim()) && value >= least && value <= most
    ? undefined
    : `Write a whole number from ${least} to ${most}.`;
}

/** What begins an Ed25519 public key in DER (RFC 8410): its 32 bytes follow. */
const DER = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/** The public half of a signing key as the service takes it, from that form or from PEM; or what is wrong. */
export function publicKey(text: string): { key: string } | { wrong: string } {
  const trimmed = text.trim();
  if (trimmed.includes("PRIVATE KEY")) {
    return { wrong: "This is the private key, which has to stay where the program is. Give the public one." };
  }
  const pem = /^-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----$/.exec(trimmed)?.[1];
  const key = pem === undefined ? trimmed : fromDer(pem.replace(/\s/g, ""));
  // 32 bytes are 43 digits of 6 bits, the last of which has two that are zero.
  return key !== null && /^[\w-]{42}[AEIMQUYcgkosw048]$/.test(key)
    ? { key }
    : { wrong: "Give an Ed25519 public key: PEM, or its 32 bytes in base64url." };
}

function fromDer(base64: string): string | null {
  let binary: string;
  try {
    binary = atob(base64);
  } catch {
    return null;
  }
  const prefixed = DER.every((byte, index) => binary.charCodeAt(index) === byte);
  if (!prefixed || binary.length !== DER.length + 32) return null;
  return btoa(binary.slice(DER.length)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
