import base64
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from asl.page import assets
from asl.page.build import write_page
from asl.page.recordings import Recordings
from asl.page.serve import address, open_server

PACKAGES = ("LITERT", "LITERT_LOADER", "HOLISTIC")


def archive(package: assets.Package, content: bytes = b"// stand-in") -> bytes:
    """An archive with the files that the page takes of a package."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in package.files:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def packages(tmp_path, monkeypatch) -> Path:
    """Stand-ins for npm's packages lie in the cache; gives its folder."""
    cache = tmp_path / "npm"
    cache.mkdir()
    monkeypatch.setattr(assets, "CACHE", cache)
    for name in PACKAGES:
        package = getattr(assets, name)
        content = archive(package)
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        monkeypatch.setattr(assets, name, package._replace(sha512=digest))
        (cache / package.archive).write_bytes(content)
    return cache


@pytest.fixture
def served(tmp_path) -> Callable:
    """Serves a folder until the block ends; gives the page's link."""

    @contextmanager
    def serve(folder: Path, recordings: Recordings | None = None) -> Iterator[str]:
        with open_server(folder, 0, recordings) as server:
            thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
            thread.start()
            yield address(server)
            server.shutdown()
            thread.join()

    return serve


@pytest.fixture
def recorder(packages, tmp_path) -> Path:
    """The folder of a page that records."""
    folder = tmp_path / "page"
    settings = {"signs": ["hello", "<b>"], "signer": "anna", "clips": 2, "seconds": 0.5}
    write_page(folder, {"mode": "record", "folder": "out", **settings})
    return folder


@pytest.fixture
def clip() -> np.ndarray:
    """Twelve frames of a hand and a body, no face."""
    made = np.random.default_rng(0).random((12, 543, 3), dtype=np.float32)
    made[:, :468] = np.nan
    return made
