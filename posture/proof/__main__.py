"""``python -m posture.proof [EXPORT]``: prove the isolation of a stack, or show what breaks it."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from posture.plan import IN_AWS
from posture.proof import assumptions, deployed, mutations, picture, report
from posture.proof.assumptions import Assumed
from posture.proof.exported import NotUnderstood, parse
from posture.proof.proving import prove


def _text_of(export: Path) -> str:
    try:
        return export.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise NotUnderstood(f"{export} cannot be read: make it with `pulumi stack export > {export.name}`") from None


def _proved(text: str, assumed: Assumed) -> bool:
    proof = prove(parse(text), assumed)
    typer.echo("\n".join(report.lines(proof)))
    return not proof.counterexamples


def _sound(text: str) -> bool:
    """Whether each mutation is refused: a proof that always holds proves nothing."""
    unnoticed = list(mutations.unnoticed(text))
    typer.echo(f"  of {len(mutations.MUTATIONS)} changes of one thing {len(unnoticed)} went unnoticed")
    typer.echo("".join(f"    {line}\n" for line in unnoticed), nl=False)
    return not unnoticed


def main(
    export: Annotated[
        Path | None, typer.Argument(help="what `pulumi stack export` wrote; without it, dev and prod are deployed")
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            help="of a network that is its owner's: vpc-…=RANGE, sg-…=endpoints, pl-…=s3 or dynamodb; see docs/proof.md"
        ),
    ] = None,
    draw: Annotated[Path | None, typer.Option("--picture", help="write the reachability picture of the last stack here")] = None,
) -> None:
    """Prove the isolation of a stack as it was deployed. Exit 1 with the counterexamples when it does not hold."""
    holds = True
    try:
        assumed = assumptions.parse(assume or ())
        for text in [_text_of(export)] if export else map(deployed.export, IN_AWS):
            holds = _proved(text, assumed) and (bool(export) or _sound(text)) and holds
            if draw:
                draw.write_text(picture.draw(parse(text), assumed), encoding="utf-8")
    except NotUnderstood as error:
        typer.echo(f"Nothing is proved: {error}.", err=True)
        raise typer.Exit(1) from None
    except subprocess.CalledProcessError:
        typer.echo("Nothing is proved: the stack could not be deployed into the emulated AWS; the lines above say why.", err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(0 if holds else 1)


if __name__ == "__main__":
    sys.exit(typer.run(main))
