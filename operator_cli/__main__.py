"""heartmapctl, as it is started."""

import os
import sys
from pathlib import Path

HELP = Path(__file__).with_name("help.txt")
"""What `heartmapctl --help` prints, kept, since making it takes twice the time of starting Python. A test compares the two;
`python -m operator_cli.main --help > operator_cli/help.txt` makes it anew."""


def main() -> None:
    """Exits with the codes of `heartmapctl help exit-codes`."""
    if sys.argv[1:] == ["--help"]:
        try:
            # Past Python's buffer, which would be written out once more at the end.
            os.write(sys.stdout.fileno(), HELP.read_bytes())
        except BrokenPipeError:
            # Whoever read it has seen enough, as of `| head`.
            sys.exit(1)
        return
    try:
        from operator_cli.main import main as run

        run()
    except KeyboardInterrupt:
        # While it was starting or ending: nothing was asked of the server.
        sys.exit(130)


if __name__ == "__main__":
    main()
