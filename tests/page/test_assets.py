"""The JavaScript packages of the page: fetched once by npm, and only as they were released."""

import stat

import pytest

from asl.errors import UserError
from asl.page import assets
from asl.page.assets import notice, vendor


def npm(folder, lines: str) -> None:
    """A command that stands in for npm."""
    folder.mkdir()
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_the_files_of_cached_packages_need_no_npm(packages, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    vendor([assets.LITERT, assets.HOLISTIC], tmp_path / "vendor")
    for name in (*assets.LITERT.files.values(), *assets.HOLISTIC.files.values()):
        assert (tmp_path / "vendor" / name).read_text() == "// stand-in"


def test_npm_fetches_a_package_once(packages, tmp_path, monkeypatch):
    archive = packages / assets.LITERT.archive
    kept = archive.rename(tmp_path / "released.tgz")
    asked = tmp_path / "asked"
    script = f'echo "$2" >> {asked}; for a; do :; done; cp {kept} "${{a#*=}}/some-name.tgz"'
    npm(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for turn in ("first", "second"):
        vendor([assets.LITERT], tmp_path / turn)
    assert archive.read_bytes() == kept.read_bytes()
    assert asked.read_text() == "@litertjs/core@2.5.3\n"


@pytest.mark.parametrize("where", ["cached", "fetched"])
def test_another_archive_than_the_pinned_one_is_refused(packages, where, tmp_path, monkeypatch):
    archive = packages / assets.LITERT.archive
    other = packages / assets.HOLISTIC.archive
    if where == "cached":
        archive.write_bytes(other.read_bytes())
    else:
        archive.unlink()
        npm(tmp_path / "bin", f'for a; do :; done; cp {other} "${{a#*=}}/a.tgz"')
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(UserError, match=r"is not @litertjs/core 2\.5\.3 as it was released"):
        vendor([assets.LITERT], tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()
    assert archive.exists() == (where == "cached")


def test_without_npm_or_a_network_one_sentence_says_what_helps(packages, tmp_path, monkeypatch):
    (packages / assets.LITERT.archive).unlink()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"^npm, which comes with Node.js, is needed once for @"):
        vendor([assets.LITERT], tmp_path / "vendor")
    npm(tmp_path / "bin", "echo 'npm error code EAI\nnpm error no such host' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    with pytest.raises(
        UserError, match=r"can't fetch @litertjs/core@2.5.3 \(no such host\); "
    ) as e:
        vendor([assets.LITERT], tmp_path / "vendor")
    assert "litertjs-core-2.5.3.tgz" in str(e.value)


def test_the_notice_names_every_package_and_its_licence(packages):
    text = notice([assets.LITERT, assets.HOLISTIC])
    assert "Apache License" in text
    for words in ("@litertjs/core 2.5.3", "@mediapipe/holistic 0.5.1675471629", "Google LLC"):
        assert words in text
