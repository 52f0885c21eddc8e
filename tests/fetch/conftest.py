"""A stand-in for Kaggle's API, for the storage that it sends clients to, and for a web server."""

import shutil
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asl.cli import run
from asl.fetch import web

KEY = "c0ffee-secret-key-0123456789"
SIGNATURE = "signed-secret-0123456789"


@dataclass
class Request:
    start: int
    by_asl: bool  # made by our code; Kaggle's client asks once before, and is closed unread
    authorized: bool
    sent: int = 0


@dataclass
class StandIn:
    """The servers' answers, and the requests that they received."""

    body: bytes = b""
    tag: str = '"one"'
    resumable: bool = True
    refusal: int | None = None  # of the API
    storage_refusal: int | None = None
    cuts: list[int] = field(default_factory=list)  # bytes after which an answer breaks off
    asked: int = 0
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    @property
    def by_asl(self) -> list[Request]:
        return [request for request in self.requests if request.by_asl]


@pytest.fixture
def stand_in(monkeypatch):
    """Both servers on this machine, and Kaggle's client pointed at the first."""
    state = StandIn()

    class Storage(BaseHTTPRequestHandler):
        def do_GET(self):
            by_asl = self.headers.get("Accept-Encoding") == "identity"
            wanted = self.headers.get("Range", "bytes=0-")
            same = self.headers.get("If-Range") in (None, state.tag)
            start = int(wanted[6:-1]) if same and state.resumable else 0
            request = Request(start, by_asl, "Authorization" in self.headers)
            state.requests.append(request)
            self.send_response(state.storage_refusal or (206 if start else 200))
            if state.resumable:
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", state.tag)
                self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            cut = state.cuts.pop(0) if by_asl and state.cuts else len(state.body)
            try:
                for at in range(start, min(len(state.body), start + cut), 8192):
                    request.sent += self.wfile.write(state.body[at : min(at + 8192, start + cut)])
            except ConnectionError:
                pass

        def log_message(self, *_):
            pass

    class Api(BaseHTTPRequestHandler):
        def do_POST(self):
            state.asked += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            authorized = self.headers.get("Authorization") in (
                f"Bearer {KEY}",
                "Basic bWU6YzBmZmVlLXNlY3JldC1rZXktMDEyMzQ1Njc4OQ==",
            )
            refusal = state.refusal or (None if authorized else 401)
            if refusal:
                self.send_response(refusal)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"code": %d, "message": "no, %s"}' % (refusal, KEY.encode()))
            else:
                self.send_response(302)
                self.send_header("Location", f"{state.url}?X-Goog-Signature={SIGNATURE}")
                self.end_headers()

        def log_message(self, *_):
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Storage, Api)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{servers[0].server_port}/archive.zip"
    from kagglesdk import kaggle_env

    api = f"http://127.0.0.1:{servers[1].server_port}"
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, api)
    monkeypatch.setattr(web, "PAUSE", 0.01)
    monkeypatch.setattr(web, "TRIES", 2)
    yield state
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home without credentials."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def user(home, monkeypatch) -> Path:
    """A home, with credentials in the environment."""
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    return home


@pytest.fixture
def download(tmp_path, capsys, monkeypatch):
    """Runs `asl download` into a temporary folder; returns status, stdout and stderr."""
    # The competition would not fit on many a disk, its stand-in does.
    plenty = type(shutil.disk_usage("/"))(10**12, 0, 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: plenty)

    def call(data: str, *arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(["download", f"data={data}", f"data.root={tmp_path / data}", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def competition(synthetic_raw, tmp_path_factory) -> bytes:
    """A zip of a small data set in the competition's format."""
    path = tmp_path_factory.mktemp("competition") / "asl-signs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(synthetic_raw.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                packed.write(file, file.relative_to(synthetic_raw))
    return path.read_bytes()
