/**
 * The first look at a data set, before a byte of it is sent: what can be told from HDF5's signature and superblock.
 * Layout: HDF5 File Format Specification, version 3.0, III.A "Superblock". The service looks at everything else.
 */

/** `code` is the service's own where it would refuse the same. */
export interface Finding {
  code: string;
  sentence: string;
}

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
const HEAD_BYTES = 128;
/** Address that leads nowhere. */
const UNDEFINED = 0xffff_ffff_ffff_ffffn;
/** Opened for writing, or for one writer and several readers: flags of a file that was never closed. Version 3 alone keeps them. */
const NOT_CLOSED = 0x01 | 0x04;

const SAVE = "Save the AnnData object with write_h5ad and choose that file.";

const DAMAGED: Finding = {
  code: "unreadable",
  sentence: "The file is damaged or not written by AnnData. Write it with write_h5ad and check that it opens.",
};

/** Files that people take for data sets, by what they begin with. */
const LOOK_ALIKES: readonly [string, readonly number[]][] = [
  ["compressed by gzip (an .rds, .gz or .tar.gz?)", [0x1f, 0x8b]],
  ["a ZIP archive", [0x50, 0x4b, 0x03, 0x04]],
  ["compressed by bzip2", [0x42, 0x5a, 0x68]],
  ["compressed by xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ["compressed by Zstandard", [0x28, 0xb5, 0x2f, 0xfd]],
  ["a Parquet file", [0x50, 0x41, 0x52, 0x31]],
  ["a NumPy file", [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]],
  ["a Matrix Market file", [0x25, 0x25, 0x4d, 0x61, 0x74]],
];

function beginsWith(head: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => head[index] === byte);
}

function isText(head: Uint8Array): boolean {
  return head.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127));
}

function notHdf5(head: Uint8Array): Finding {
  const kind =
    LOOK_ALIKES.find(([, bytes]) => beginsWith(head, bytes))?.[0] ?? (isText(head) ? "text (a table?)" : null);
  return { code: "not_hdf5", sentence: `The file is not HDF5${kind ? `: it is ${kind}` : ""}. ${SAVE}` };
}

async function read(file: Blob, offset: number, length: number): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(offset, offset + length).arrayBuffer());
}

/** Whether the signature is at 512, 1024, 2048, …, behind a block of the user's own. */
async function hasUserBlock(file: Blob): Promise<boolean> {
  for (let offset = 512; offset + SIGNATURE.length <= file.size; offset *= 2) {
    if (beginsWith(await read(file, offset, SIGNATURE.length), SIGNATURE)) return true;
  }
  return false;
}

function superblock(head: Uint8Array, size: number): Finding | null {
  const version = head[8] ?? 255;
  const old = version < 2;
  const offsets = head[old ? 13 : 9];
  if (version > 3 || offsets !== 8) return DAMAGED;
  const end = old ? 40 + 4 * version : 28;
  if (head.length < end + 16) return DAMAGED;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (old && view.getBigUint64(end + 8, true) !== UNDEFINED) {
    return {
      code: "split_file",
      sentence:
        "The file says that it is one part of several. Write the AnnData object into one file, with write_h5ad.",
    };
  }
  if (version === 3 && ((head[11] ?? 0) & NOT_CLOSED) !== 0) {
    return {
      code: "unreadable",
      sentence:
        "The file was not closed by the program that wrote it, or still is being written. Close it there first.",
    };
  }
  const declared = view.getBigUint64(end, true);
  if (declared !== UNDEFINED && declared > BigInt(size)) {
    return {
      code: "unreadable",
      sentence:
        `The file is cut short: it should have ${declared.toLocaleString()} bytes and has ${size.toLocaleString()}. ` +
        "Copy or download it again, or write it anew with write_h5ad.",
    };
  }
  return null;
}

/** What is wrong with the file as far as its first bytes tell, or null. Reads a few hundred bytes. */
export async function check(file: Blob): Promise<Finding | null> {
  if (file.size === 0) return { code: "empty_file", sentence: `The file is empty. ${SAVE}` };
  const head = await read(file, 0, HEAD_BYTES);
  if (beginsWith(head, SIGNATURE)) return superblock(head, file.size);
  if (await hasUserBlock(file)) {
    return {
      code: "user_block",
      sentence:
        "The file begins with a block of foreign bytes, which AnnData does not write. Write it with write_h5ad.",
    };
  }
  return notHdf5(head);
}
