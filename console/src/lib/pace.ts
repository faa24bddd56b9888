/** How fast something goes, from what was done lately: the mean of a long transfer says little about what is left of it. */
const WINDOW_MS = 10_000;

export class Pace {
  private samples: { at: number; done: number }[] = [];

  /** `done` counts from any beginning, in bytes. */
  note(done: number, at: number): void {
    this.samples.push({ at, done });
    const oldest = this.samples.findLastIndex((sample) => sample.at <= at - WINDOW_MS);
    if (oldest > 0) this.samples.splice(0, oldest);
  }

  /** Bytes a second, or null while there is too little to tell. */
  rate(): number | null {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at - first.at < 500) return null;
    const rate = ((last.done - first.done) * 1000) / (last.at - first.at);
    return rate > 0 ? rate : null;
  }

  restart(): void {
    this.samples = [];
  }
}
