"""An emulated AWS for the tests of the local cloud, and zips for its Lambda functions."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator

import pytest
from moto.server import ThreadedMotoServer

from local_cloud import deployed


@pytest.fixture(scope="module")
def aws_endpoint() -> Iterator[str]:
    """A moto server of this module on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Gives the boto3 client of a service; the environment names the emulated AWS, as it does for the processes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    return deployed.client


@pytest.fixture
def zipped() -> Callable[..., bytes]:
    """Makes a zip with these files."""

    def build(**files: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{name}.py", text)
        return buffer.getvalue()

    return build


@pytest.fixture
def poll() -> Callable:
    """Waits until a condition holds and gives its value; fails after 10 seconds."""

    def wait(condition: Callable):
        pause = threading.Event()
        for _ in range(500):
            if value := condition():
                return value
            pause.wait(0.02)
        pytest.fail("nothing came within 10 seconds")

    return wait
