/** manifest.json of an analysis: what went in, what ran and what came out. */
export interface Manifest {
  reproducible: {
    analysis_type: string;
    options: Record<string, unknown>;
    config: Record<string, unknown>;
    random_seed: number | null;
    input: { bytes: number; sha256: string };
    versions: Record<string, string>;
  };
  run: {
    analysis_id: string;
    upload_id: string;
    config_version: number;
    attempt: number;
    request_id: string | null;
    created_at: string;
    started_at: string | null;
    finished_at: string | null;
  };
}

/** The manifest, or null where it is not one that this page reads: it is shown as text then. */
export function readManifest(text: string): Manifest | null {
  try {
    const { schema, reproducible, run } = JSON.parse(text);
    const { input, versions, config, options } = reproducible;
    const whole = [input, versions, config, options, run].every((part) => typeof part === "object" && part !== null);
    return schema === 1 && whole && typeof input.sha256 === "string" ? { reproducible, run } : null;
  } catch {
    return null;
  }
}
