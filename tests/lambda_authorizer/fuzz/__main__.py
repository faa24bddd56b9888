"""``python -m tests.lambda_authorizer.fuzz --seconds N [target]``: fuzz one target, or one after the other, with atheris.

Each begins with its seeds in ``corpus/`` and with what it found before. Inputs that lead to new code are kept, in ``.local/fuzz``
or the directory of ``--keep``. It stops at the first input for which something does not hold, writes that to ``crash-...`` in the
directory, and exits with 77.
"""

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import atheris

CORPUS = Path(__file__).with_name("corpus")
NAMES = ("token", "event", "signature")
MAX_BYTES = 4096
# What a mutated event may hold where it held something else.
_INTERESTING: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        10**30,
        "",
        " ",
        "*",
        "?",
        "/",
        "//",
        "..",
        "$0",
        "$1",
        "$2",
        "Bearer ",
        "\n",
        "\0",
        "\ud800",
    ),
    *(
        "GET",
        "POST",
        "DELETE",
        "get",
        "TOKEN",
        "REQUEST",
        "/config",
        "/{proxy+}",
        "%2e",
        [],
        {},
        [[]],
        ["$0"],
        ["$0", "$0"],
        {"": ""},
    ),
)
# What a mutated field may hold somewhere.
_PIECES = (
    *(
        b"",
        b" ",
        b"\n",
        b"\r\n",
        b"\t",
        b'"',
        b"\\",
        b":",
        b";",
        b",",
        b"=",
        b"&",
        b"%0A",
        b"%00",
        b"%",
        b"+",
        b"/",
        b"?",
        b"#",
        b"\xc3\xa9",
    ),
    *(
        b"\xed\xa0\x80",
        b"%ED%A0%80",
        b":443",
        b"sig2=",
        b'"@path": /',
        b'("@method")',
        b";created=1800000000",
        b";alg=",
        b"0",
        b"-1",
        b"1800000060",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--keep", default=".local/fuzz", help="a directory for the inputs that lead to new code")
    parser.add_argument("target", nargs="?", choices=NAMES)
    options = parser.parse_args()
    if options.target is None:
        for name in NAMES:
            # atheris.Fuzz ends its process.
            command = [
                sys.executable,
                "-m",
                "tests.lambda_authorizer.fuzz",
                "--seconds",
                str(options.seconds),
                "--keep",
                options.keep,
            ]
            subprocess.run([*command, name], check=True)
        return
    keep = Path(options.keep)
    (keep / options.target).mkdir(parents=True, exist_ok=True)
    fuzz(options.target, options.seconds, keep)


def fuzz(name: str, seconds: int, keep: Path) -> None:
    """Fuzz one target. Does not return."""
    # What the fuzzer is to see the inside of is imported under its eyes.
    with atheris.instrument_imports(include=["lambda_authorizer"]):  # pyright: ignore[reportAttributeAccessIssue]  # and this
        from tests.lambda_authorizer.fuzz import targets
    argv = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={keep}/",
        "-print_final_stats=1",
        "-timeout=10",
        "-rss_limit_mb=1024",
        str(keep / name),
        str(CORPUS / name),
    ]
    mutators = {"token": mutate_token, "event": mutate_json, "signature": mutate_fields}
    atheris.Setup(argv, targets.TARGETS[name], internal_libfuzzer=True, custom_mutator=mutators[name])
    with targets.world():
        atheris.Fuzz()


def mutate_json(data: bytes, max_size: int, seed: int) -> bytes:
    """An event with one value changed, moved, doubled or gone: bytes changed at random are hardly ever JSON."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    try:
        document = json.loads(data)
    except ValueError:
        return atheris.Mutate(data, max_size)
    places = list(_places(document))
    if not places or chance.random() < 0.05:
        return atheris.Mutate(data, max_size)
    for _ in range(chance.randint(1, 3)):
        container, index = chance.choice(places)
        _change(container, index, places, chance)
    changed = json.dumps(document).encode()
    return changed if len(changed) <= max_size else data[:max_size]


def mutate_token(data: bytes, max_size: int, seed: int) -> bytes:
    """A token's JSON with one value changed, where the target signs what it is given."""
    if data[:1] in (b"H", b"P"):
        return data[:1] + mutate_json(data[1:], max_size - 1, seed)
    return atheris.Mutate(data, max_size)


def mutate_fields(data: bytes, max_size: int, seed: int) -> bytes:
    """A signed call with one field changed."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    fields = data.split(b"\0")
    if chance.random() < 0.1:
        return atheris.Mutate(data, max_size)
    index = chance.randrange(len(fields))
    field = fields[index]
    if chance.random() < 0.5:
        field = atheris.Mutate(field, len(field) + 8)
    else:
        start = chance.randint(0, len(field))
        end = chance.choice((start, start + 1, chance.randint(start, len(field))))
        field = field[:start] + chance.choice(_PIECES) + field[end:]
    return b"\0".join([*fields[:index], field, *fields[index + 1 :]])[:max_size]


def _places(value: Any) -> Any:
    """Each value within, as what holds it and where."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for index, item in items:
        yield value, index
        yield from _places(item)


def _change(container: Any, index: Any, places: list[Any], chance: random.Random) -> None:
    try:
        value = container[index]
    except (KeyError, IndexError):
        # Gone with an earlier change.
        return
    match chance.randrange(6):
        case 0:
            container[index] = chance.choice(_INTERESTING)
        case 1:
            del container[index]
        case 2 if isinstance(container, dict):
            container[chance.choice((index.upper(), index.lower(), index.swapcase(), f"{index} ", "x"))] = value
        case 3:
            other, where = chance.choice(places)
            if (isinstance(other, dict) and where in other) or (isinstance(other, list) and where < len(other)):
                # A copy: an event holds nothing of itself.
                container[index] = json.loads(json.dumps(other[where]))
        case 4 if isinstance(value, list):
            container[index] = value * 2
        case _ if isinstance(value, str):
            container[index] = atheris.Mutate(value.encode("utf-8", "surrogatepass"), len(value) + 8).decode("utf-8", "replace")
        case _:
            container[index] = chance.choice(_INTERESTING)


if __name__ == "__main__":
    main()
