import { describe, expect, it } from "vitest";
import { check } from "./hdf5";

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
const SIZE = 4096;

interface Shape {
  version: number;
  end?: bigint;
  offsets?: number;
  flags?: number;
  driver?: bigint;
  size?: number;
  at?: number;
}

/** A file with a superblock of that version and nothing behind it, laid out as the specification says. */
function file({
  version,
  end = BigInt(SIZE),
  offsets = 8,
  flags = 0,
  driver = 0xffff_ffff_ffff_ffffn,
  size = SIZE,
  at = 0,
}: Shape) {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer, at);
  bytes.set(SIGNATURE, at);
  view.setUint8(8, version);
  if (version < 2) {
    view.setUint8(13, offsets);
    const base = version === 0 ? 24 : 28;
    view.setBigUint64(base + 8, 0xffff_ffff_ffff_ffffn, true);
    view.setBigUint64(base + 16, end, true);
    view.setBigUint64(base + 24, driver, true);
  } else {
    view.setUint8(9, offsets);
    view.setUint8(11, flags);
    view.setBigUint64(20, 0xffff_ffff_ffff_ffffn, true);
    view.setBigUint64(28, end, true);
  }
  return new Blob([bytes.slice(0, size)]);
}

const code = async (blob: Blob) => (await check(blob))?.code ?? null;

describe("the first look at a data set", () => {
  it.each([0, 1, 2, 3])("takes a whole file of superblock version %i", async (version) => {
    expect(await check(file({ version }))).toBeNull();
  });

  it.each([0, 1, 2, 3])(
    "sees that a file of version %i is cut short by one byte, and says both sizes",
    async (version) => {
      const found = await check(file({ version, end: BigInt(SIZE + 1) }));
      expect(found?.code).toBe("unreadable");
      expect(found?.sentence).toContain("cut short");
      expect(found?.sentence).toContain((SIZE + 1).toLocaleString());
      expect(found?.sentence).toContain(SIZE.toLocaleString());
    },
  );

  it("takes bytes behind the end, as HDF5 does", async () => {
    expect(await check(file({ version: 2, end: 1000n }))).toBeNull();
  });

  it("asks nothing of an end that is not said", async () => {
    expect(await check(file({ version: 0, end: 0xffff_ffff_ffff_ffffn }))).toBeNull();
  });

  it.each([
    ["of a version to come", { version: 4 }],
    ["with addresses of four bytes", { version: 0, offsets: 4 }],
    ["with addresses of four bytes, version 2", { version: 2, offsets: 4 }],
    ["that ends within its head", { version: 0, size: 40 }],
    ["that was never closed", { version: 3, flags: 1 }],
    ["that is being written for readers", { version: 3, flags: 5 }],
  ])("refuses a file %s", async (_, shape) => {
    expect(await code(file(shape))).toBe("unreadable");
  });

  it("takes those flags for nothing before version 3", async () => {
    expect(await check(file({ version: 2, flags: 1 }))).toBeNull();
  });

  it("refuses one part of several", async () => {
    expect(await code(file({ version: 0, driver: 96n }))).toBe("split_file");
    expect(await code(file({ version: 1, driver: 96n }))).toBe("split_file");
  });

  it.each([512, 1024, 2048])("finds the signature behind a block of %i bytes", async (at) => {
    expect(await code(file({ version: 2, at }))).toBe("user_block");
  });

  it("does not look where no signature may be", async () => {
    expect(await code(file({ version: 2, at: 100 }))).toBe("not_hdf5");
  });

  it.each([
    ["nothing", [], "empty_file", "empty"],
    ["a table", [...new TextEncoder().encode("cell,gene,count\na,b,1\n")], "not_hdf5", "text"],
    ["gzip", [0x1f, 0x8b, 8, 0], "not_hdf5", "gzip"],
    ["ZIP", [0x50, 0x4b, 3, 4], "not_hdf5", "ZIP"],
    ["anything else", [0, 1, 2, 3], "not_hdf5", "not HDF5. Save"],
  ])("says what a file of %s is", async (_, bytes, expected, words) => {
    const found = await check(new Blob([new Uint8Array(bytes)]));
    expect(found?.code).toBe(expected);
    expect(found?.sentence).toContain(words);
  });

  it("reads little of a large file", async () => {
    const blob = file({ version: 2 });
    let read = 0;
    const counted = {
      size: 2 ** 41,
      slice: (from: number, to: number) => {
        read += to - from;
        return blob.slice(from, to);
      },
    } as Blob;
    await check(counted);
    expect(read).toBeLessThan(2000);
  });
});
