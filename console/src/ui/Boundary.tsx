import { Component, type ReactNode } from "react";
import { Button, Notice } from ".";

/** A page that fails must not take the others with it, nor leave nothing. `of` names what is shown: another one is tried anew. */
export class Boundary extends Component<{ of: string; children: ReactNode }, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  componentDidUpdate(before: { of: string }): void {
    if (this.state.failed && before.of !== this.props.of) this.setState({ failed: false });
  }

  render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="page">
        <h1>This page failed</h1>
        <Notice tone="bad" live title="It came upon something that it does not expect. The others still work.">
          <span>Load it again. If it stays, restart `heartmapctl console`; a newer heartmapctl may be needed.</span>
        </Notice>
        <div className="row">
          <Button onPress={() => window.location.reload()}>Load it again</Button>
        </div>
      </div>
    );
  }
}
