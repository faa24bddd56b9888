import { TextArea } from "../../ui";

/** The public half of a signing key. The private one stays where the program is. */
export function SigningKey({
  value,
  onChange,
  error,
  hint,
}: {
  value: string;
  onChange: (text: string) => void;
  error?: string;
  hint: string;
}) {
  return (
    <>
      <TextArea
        label="Public signing key (optional)"
        value={value}
        onChange={onChange}
        rows={4}
        hint={hint}
        error={error}
      />
      <details>
        <summary>How to make one</summary>
        <p className="hint">On the program’s own machine, where signing.pem stays:</p>
        <pre className="lines">
          {"openssl genpkey -algorithm ed25519 -out signing.pem\nopenssl pkey -in signing.pem -pubout"}
        </pre>
        <p className="hint">Paste what the second command prints.</p>
      </details>
    </>
  );
}
