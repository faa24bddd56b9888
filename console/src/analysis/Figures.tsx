import { useEffect, useState } from "react";
import { Button, Dialog, Loading, Panel, Problem } from "../ui";
import { useImage } from "./queries";
import type { Summary } from "./summary";
import { figure } from "./words";

export function figureNames(files: readonly { name: string }[]): string[] {
  return files.map(({ name }) => name).filter((name) => name.endsWith(".png"));
}

/** HeartMAP's own figures, as they are in the files. */
export function Figures({ id, names, summary }: { id: string; names: string[]; summary: Summary }) {
  return (
    <Panel title="HeartMAP's figures">
      <div className="figures">
        {names.map((name) => (
          <Figure key={name} id={id} name={name} summary={summary} />
        ))}
      </div>
    </Panel>
  );
}

function useAddress(blob: Blob | undefined): string | null {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    if (!blob) return;
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  return address;
}

export function Figure({ id, name, summary }: { id: string; name: string; summary: Summary }) {
  const { data, error, isPending } = useImage(id, name);
  const address = useAddress(data);
  const [large, setLarge] = useState(false);
  const { cells, clusters, chambers } = summary;
  const { title, alt } = figure(name, { cells, clusters: clusters.length, chambers: chambers.length });
  return (
    <figure className="figure">
      <figcaption>{title}</figcaption>
      {isPending && <Loading what="the figure" />}
      {error && <Problem error={error} />}
      {address && (
        <Button kind="plain" className="figure-open" onPress={() => setLarge(true)} aria-label={`Enlarge: ${alt}`}>
          <img src={address} alt={alt} />
        </Button>
      )}
      {address && (
        <Dialog title={title} isOpen={large} onClose={() => setLarge(false)}>
          <img className="figure-large" src={address} alt={alt} />
          <p className="muted">{alt}</p>
          <div className="row">
            <Button onPress={() => setLarge(false)}>Close</Button>
          </div>
        </Dialog>
      )}
    </figure>
  );
}
