"""In the place of AWS's Session Manager plugin: the same command line and the same words, and bytes that really pass.

Where the real one opens a data channel to the instance, this one connects to FAKE_TARGET. FAKE_PLUGIN says how it fails.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def pump(source: int, target: int) -> None:
    while block := os.read(source, 65536):
        while block:
            block = block[os.write(target, block) :]


def connect() -> socket.socket:
    host, _, port = os.environ["FAKE_TARGET"].rpartition(":")
    return socket.create_connection((host, int(port)))


def join(one: socket.socket, two: socket.socket) -> None:
    def one_way(source: socket.socket, target: socket.socket) -> None:
        try:
            pump(source.fileno(), target.fileno())
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    for ends in ((one, two), (two, one)):
        threading.Thread(target=one_way, args=ends, daemon=True).start()


def forward(parameters: dict[str, list[str]]) -> None:
    host = os.environ.get("SSM_PLUGIN_LOCAL_HOST", "localhost")
    with socket.create_server((host, int(parameters["localPortNumber"][0]))) as listener:
        say(f"Port {listener.getsockname()[1]} opened for sessionId x.\nWaiting for connections...")
        kept = []
        while True:
            connection, _ = listener.accept()
            kept.append(connection)
            if os.environ.get("FAKE_PLUGIN") != "deaf":
                kept.append(connect())
                join(connection, kept[-1])


def carry() -> None:
    target = connect()
    threading.Thread(target=lambda: (pump(target.fileno(), 1), os._exit(0)), daemon=True).start()
    pump(0, target.fileno())


def main() -> None:
    how = os.environ.get("FAKE_PLUGIN", "")
    if sys.argv[1:] == ["--version"]:
        say("1.2.497.0" if how == "old" else "1.2.707.0")
        return
    variable, _, operation, _, request, _ = sys.argv[1:]
    assert operation == "StartSession"
    seen = {"arguments": sys.argv, "pid": os.getpid(), "response": json.loads(os.environ[variable])}
    with Path(os.environ["FAKE_RECORD"]).open("a") as record:
        record.write(json.dumps(seen) + "\n")
    if how == "refused":
        # As the real one does it: on standard output, and with 0.
        say("Cannot perform start session: \x1b[31mwebsocket: bad handshake")
        return
    say("\nStarting session with SessionId: x")
    if how == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, 1); time.sleep(600)"])
        Path(os.environ["FAKE_RECORD"] + ".child").write_text(str(child.pid))
    else:
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if how == "short":
        threading.Thread(target=lambda: (time.sleep(3), os._exit(0)), daemon=True).start()
    parameters = json.loads(request)["Parameters"]
    if "localPortNumber" in parameters:
        forward(parameters)
    else:
        carry()


if __name__ == "__main__":
    main()
