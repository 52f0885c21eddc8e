"""The JavaScript packages of the page: fetched once by npm, checked, and taken apart.

Nothing of them is in the repository. Nothing here touches the network but `npm pack`, which uses
the registry that the user has set.
"""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asl.errors import UserError
from asl.files import replacing
from asl.paths import PROJECT

CACHE = PROJECT / "data" / "npm"


class Package(NamedTuple):
    """A version of a package, and what the page takes of it.

    Attributes:
        name: in the registry.
        version: exact.
        sha512: of the archive, in base64 as in package-lock.json.
        files: path in the archive to path in the page's folder `vendor/`.
        about: what it is, and who made it, for the page's notice.
    """

    name: str
    version: str
    sha512: str
    files: dict[str, str]
    about: str

    @property
    def archive(self) -> str:
        """The file's name, as `npm pack` calls it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def _holistic(*names: str) -> dict[str, str]:
    return {name: f"holistic/{name}" for name in names}


# The build of LiteRT.js for every browser is taken; of Holistic that for SIMD, which every browser
# has that knows import maps.
LITERT = Package(
    "@litertjs/core",
    "2.5.3",
    "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    {
        "dist/index.js": "litert/index.js",
        "wasm/litert_wasm_compat_internal.js": "litert/litert_wasm_compat_internal.js",
        "wasm/litert_wasm_compat_internal.wasm": "litert/litert_wasm_compat_internal.wasm",
    },
    "LiteRT.js, Google LLC: runs the recognizer",
)
LITERT_LOADER = Package(
    "@litertjs/wasm-utils",
    "2.5.3",
    "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    {"dist/index.js": "litert/wasm-utils.js"},
    "the loader of LiteRT.js, Google LLC",
)
HOLISTIC = Package(
    "@mediapipe/holistic",
    "0.5.1675471629",
    "qY+cxtDeSOvVtevrLgnodiwXYaAtPi7dHZtNv/bUCGEjFicAOYtMmrZSqMmbPkTB2+4jLnPF1vgshkAqQRSYAw==",
    _holistic(
        "holistic.js",
        "holistic.binarypb",
        "holistic_solution_packed_assets.data",
        "holistic_solution_packed_assets_loader.js",
        "holistic_solution_simd_wasm_bin.data",
        "holistic_solution_simd_wasm_bin.js",
        "holistic_solution_simd_wasm_bin.wasm",
        "pose_landmark_full.tflite",
    ),
    "MediaPipe Holistic with its models, Google LLC: finds landmarks in pictures",
)


def vendor(packages: Sequence[Package], folder: Path) -> None:
    """Puts the files of packages into a folder; without a network where CACHE has them.

    Raises:
        UserError: npm is missing or cannot fetch one, or an archive is not the pinned one.
    """
    for package in packages:
        _extract(_archive(package), package, folder)


def notice(packages: Sequence[Package]) -> str:
    """What a folder with these packages says of their origin."""
    lines = [f"{p.name} {p.version}: {p.about}." for p in packages]
    return "\n".join(
        [
            "This folder holds unchanged files of these packages of npm, under the Apache License,",
            "Version 2.0 (Apache-2.0.txt), and compiled into them libraries that they name:",
            "",
            *lines,
            "",
        ]
    )


def _archive(package: Package) -> Path:
    """The package's archive in the cache, fetched if need be."""
    path = CACHE / package.archive
    if not path.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch, replacing(path) as fetched:
            shutil.copyfile(_packed(package, Path(scratch)), fetched)
            _check(package, fetched)
    _check(package, path)
    return path


def _packed(package: Package, folder: Path) -> Path:
    """What `npm pack` fetches."""
    wanted = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    by_hand = f"or put {package.archive}, which `npm pack {wanted}` makes, into {CACHE}"
    if npm is None:
        raise UserError(f"npm, which comes with Node.js, is needed once for {wanted}; {by_hand}")
    command = [npm, "pack", wanted, "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(
        [*command, f"--pack-destination={folder}"], capture_output=True, text=True, check=False
    )
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        lines = [line.removeprefix("npm error ") for line in done.stderr.splitlines()]
        reason = next((each for each in lines if not each.startswith("code ")), "no reason given")
        raise UserError(f"npm can't fetch {wanted} ({reason}); connect to a network, {by_hand}")
    return archives[0]


def _check(package: Package, path: Path) -> None:
    digest = hashlib.sha512(path.read_bytes()).digest()
    if base64.b64encode(digest).decode() != package.sha512:
        name = f"{package.name} {package.version}"
        raise UserError(f"{path}: is not {name} as it was released; remove it and try again")


def _extract(archive: Path, package: Package, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(archive) as packed:
        members = [f"package/{name}" for name in package.files]
        packed.extractall(scratch, [packed.getmember(m) for m in members], filter="data")
        for name, target in package.files.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / "package" / name, folder / target)
            (folder / target).chmod(0o644)  # some are not readable for others as they come
