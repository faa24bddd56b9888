/**
 * A data set on its way through the console to the environment's storage, in parts of the file, so that memory stays flat and a
 * broken line costs one part. The console remembers by name, size and time of change what has arrived: the same file goes on there.
 */
import { ApiError, api, nobodyAnswers, pageHeaders, refusal, segment, signedInAgain } from "./api";
import { check, type Finding } from "./hdf5";
import { Pace } from "./pace";
import { createStore } from "./store";

/** Parts on their way at once: enough to hide the way there and back between two. */
const AT_ONCE = 3;
/** Seconds before a failed part is sent again; then the upload stops until the person goes on with it. */
const PAUSES = [1, 2, 4, 8, 16] as const;

/** What the console says of an upload that it began or goes on with. `received` numbers the parts that have arrived, from 1. */
export interface Plan {
  upload_id: string;
  part_bytes: number;
  parts: number;
  received: number[];
}

export interface Transfer {
  file: File;
  state: "looking" | "refused" | "beginning" | "sending" | "paused" | "failed" | "finishing" | "sent";
  /** Why the file was refused before anything was sent. */
  finding: Finding | null;
  error: unknown;
  uploadId: string | null;
  /** Bytes that arrived or are on their way. */
  done: number;
  /** Bytes that had arrived before, of an upload that was gone on with. */
  before: number;
  /** Bytes a second. */
  rate: number | null;
  /** A part failed and is about to be sent again. */
  retrying: boolean;
}

/** Where a part begins and ends in the file. */
export function range(number: number, plan: Plan, size: number): [from: number, to: number] {
  const from = (number - 1) * plan.part_bytes;
  return [from, Math.min(from + plan.part_bytes, size)];
}

export function missing(plan: Plan): number[] {
  const received = new Set(plan.received);
  return Array.from({ length: plan.parts }, (_, index) => index + 1).filter((number) => !received.has(number));
}

export function bytesReceived(plan: Plan, size: number): number {
  return [...new Set(plan.received)]
    .filter((number) => number >= 1 && number <= plan.parts)
    .reduce((sum, number) => {
      const [from, to] = range(number, plan, size);
      return sum + Math.max(0, to - from);
    }, 0);
}

/** Whether the plan covers the file: a part too few would be a data set cut short. */
export function fits(plan: Plan, size: number): boolean {
  return plan.part_bytes > 0 && plan.parts === Math.ceil(size / plan.part_bytes);
}

/** Seconds until the same part is tried again, or null where that would not help. */
export function pauseBefore(attempt: number, error: unknown): number | null {
  if (!(error instanceof ApiError)) return null;
  const passing = error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500;
  const pause = PAUSES[attempt];
  return passing && pause !== undefined ? Math.max(pause, error.more.retryAfter ?? 0) : null;
}

/** Seconds left, or null where nobody can tell. */
export function left(transfer: Pick<Transfer, "done" | "rate" | "file">): number | null {
  return transfer.rate ? (transfer.file.size - transfer.done) / transfer.rate : null;
}

export const transfer = createStore<Transfer | null>(null);

let running: AbortController | null = null;

/** XMLHttpRequest because fetch does not tell how much of a body was sent. */
function put(path: string, body: Blob, signal: AbortSignal, sent: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const stop = () => call.abort();
    signal.addEventListener("abort", stop, { once: true });
    call.open("PUT", path);
    for (const [name, value] of Object.entries(pageHeaders())) call.setRequestHeader(name, value);
    call.setRequestHeader("Content-Type", "application/octet-stream");
    call.upload.onprogress = (event) => sent(event.loaded);
    call.onload = () => {
      if (call.status < 300) resolve();
      else reject(refusal(call.status, call.responseText, (name) => call.getResponseHeader(name)));
    };
    call.onerror = () => reject(nobodyAnswers());
    call.onabort = () => reject(signal.reason);
    call.onloadend = () => signal.removeEventListener("abort", stop);
    call.send(body);
  });
}

function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}

function update(change: Partial<Transfer>): void {
  const current = transfer.get();
  if (current) transfer.set({ ...current, ...change });
}

/** The bytes of a file are read when they are sent: it may have changed or gone since it was chosen. */
async function readable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

const CHANGED = new ApiError(0, "file_changed", "The file was changed, moved or deleted meanwhile. Choose it again.");

/** Sends what is missing, and says how far it is. Throws what stopped it. */
async function sendParts(
  file: File,
  plan: Plan,
  signal: AbortSignal,
  say: (change: Partial<Transfer>) => void,
): Promise<void> {
  const waiting = missing(plan);
  const onTheWay = new Map<number, number>();
  const pace = new Pace();
  let arrived = bytesReceived(plan, file.size);
  const tell = () => {
    const done = arrived + [...onTheWay.values()].reduce((sum, bytes) => sum + bytes, 0);
    pace.note(done, performance.now());
    say({ done, rate: pace.rate() });
  };
  const part = async (number: number) => {
    const [from, to] = range(number, plan, file.size);
    for (let attempt = 0; ; ) {
      try {
        await put(
          `/console/uploads/${segment(plan.upload_id)}/parts/${number}`,
          file.slice(from, to),
          signal,
          (bytes) => {
            onTheWay.set(number, Math.min(bytes, to - from));
            tell();
          },
        );
        onTheWay.delete(number);
        arrived += to - from;
        say({ retrying: false });
        tell();
        return;
      } catch (error) {
        onTheWay.delete(number);
        if (signal.aborted) throw error;
        if (!(await readable(file))) throw CHANGED;
        if (await signedInAgain(error, true)) continue;
        const pause = pauseBefore(attempt, error);
        if (pause === null) throw error;
        attempt += 1;
        pace.restart();
        say({ retrying: true, rate: null });
        await sleep(pause, signal);
      }
    }
  };
  const worker = async () => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) await part(number);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

async function run(file: File): Promise<void> {
  running?.abort();
  const control = new AbortController();
  running = control;
  // What was stopped says nothing more: another file may be on its way by then.
  const say = (change: Partial<Transfer>) => {
    if (!control.signal.aborted) update(change);
  };
  window.addEventListener("beforeunload", warn);
  update({ state: "beginning", error: null, rate: null, retrying: false });
  try {
    const plan = await api.post<Plan>("/console/uploads", {
      name: file.name,
      bytes: file.size,
      last_modified: file.lastModified,
    });
    control.signal.throwIfAborted();
    if (!fits(plan, file.size))
      throw new ApiError(0, "bad_plan", "The console did not say how to send the file. Update heartmapctl.");
    const before = bytesReceived(plan, file.size);
    say({ state: "sending", uploadId: plan.upload_id, before, done: before });
    await sendParts(file, plan, control.signal, say);
    say({ state: "finishing", done: file.size, rate: null });
    await api.post(`/console/uploads/${segment(plan.upload_id)}/complete`);
    say({ state: "sent" });
  } catch (error) {
    if (!control.signal.aborted) {
      // The other parts that are on their way go nowhere now.
      control.abort();
      update({ state: "failed", error, rate: null, retrying: false });
    }
  } finally {
    if (running === control) {
      running = null;
      window.removeEventListener("beforeunload", warn);
    }
  }
}

/** Looks at a file, and sends it where nothing is wrong with it. */
export async function begin(file: File): Promise<void> {
  cancel();
  const fresh: Transfer = {
    file,
    state: "looking",
    finding: null,
    error: null,
    uploadId: null,
    done: 0,
    before: 0,
    rate: null,
    retrying: false,
  };
  transfer.set(fresh);
  let finding: Finding | null;
  try {
    finding = await check(file);
  } catch {
    finding = { code: "file_changed", sentence: "The file cannot be read. Choose it again." };
  }
  if (transfer.get() !== fresh) return;
  if (finding) update({ state: "refused", finding });
  else await run(file);
}

export function pause(): void {
  running?.abort();
  update({ state: "paused", rate: null, retrying: false });
}

/** Goes on with what was paused or failed: the console says again what has arrived. */
export function resume(): void {
  const current = transfer.get();
  if (current && (current.state === "paused" || current.state === "failed")) void run(current.file);
}

/** Forgets the upload here. What has arrived stays for a while, so that the same file can be chosen again. */
export function cancel(): void {
  running?.abort();
  transfer.set(null);
}
