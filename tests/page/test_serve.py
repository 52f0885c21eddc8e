"""The page's server: files with their types, and nothing for other hosts and pages."""

import errno
import http.client
import io
import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from asl.cli import run
from asl.clips.sources.gislr import GislrSource, read_clip
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.page import recordings
from asl.page.build import policy
from asl.page.recordings import MOST_FRAMES, Recordings
from asl.page.serve import open_server


def ask(link, method="GET", path="/", body=None, **headers):
    """Status, headers and content of an answer; header names as keywords."""
    port = urlsplit(link).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def as_npy(clip) -> bytes:
    content = io.BytesIO()
    np.save(content, clip)
    return content.getvalue()


def send(link, clip, sign="hello", **headers):
    """Saves a clip as the page does; headers of other pages may be given."""
    kind = {"Content_Type": "application/octet-stream", "Origin": link.rstrip("/")}
    body = clip if isinstance(clip, bytes) else as_npy(clip)
    return ask(link, "POST", f"/api/clips?sign={sign}", body, **(kind | headers))


def test_files_have_their_types_and_every_answer_the_policy(recorder, served):
    wanted = {
        "/": "text/html",
        "/main.js": "text/javascript",
        "/page.json": "application/json",
        "/vendor/holistic/holistic_solution_simd_wasm_bin.wasm": "application/wasm",
        "/icon.svg": "image/svg+xml",
        "/missing": "text/html;charset=utf-8",
    }
    with served(recorder) as link:
        for path, kind in wanted.items():
            status, headers, _ = ask(link, path=path)
            assert status == (404 if path == "/missing" else 200)
            assert headers["Content-Type"] == kind
            assert headers["Content-Security-Policy"].startswith(policy())
            assert "microphone=()" in headers["Permissions-Policy"]
        assert ask(link, path="/vendor/")[0] == 404
        assert ask(link, path="/../../etc/passwd")[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", ""])
def test_a_foreign_host_is_refused(host, recorder, served, tmp_path):
    with served(recorder, Recordings(tmp_path / "out", "anna", ["hello"])) as link:
        named = host.format(port=urlsplit(link).port)
        for method, path in (
            ("GET", "/"),
            ("GET", "/api/clips"),
            ("POST", "/api/clips?sign=hello"),
        ):
            status, _, content = ask(link, method, path, Host=named, Origin=f"http://{named}")
            assert status == 403
            assert b"anna" not in content
        assert ask(link, Host=f"localhost:{urlsplit(link).port}")[0] == 200


def test_only_the_page_itself_may_save_and_delete(recorder, served, clip, tmp_path):
    with served(recorder, Recordings(tmp_path / "out", "anna", ["hello"])) as link:
        assert send(link, clip, Origin="http://evil.example")[0] == 403
        assert send(link, clip, Origin="null")[0] == 403
        assert ask(link, "POST", "/api/clips?sign=hello", as_npy(clip))[0] == 403
        assert send(link, clip, Content_Type="text/plain")[0] == 400
        assert not (tmp_path / "out").exists()
        assert send(link, clip)[0] == 201
        assert ask(link, "DELETE", "/api/clips/1")[0] == 403
    with served(recorder) as link:
        assert send(link, clip)[0] == 404


def test_what_is_no_clip_is_refused_with_its_reason(recorder, served, clip, tmp_path):
    infinite = clip.copy()
    infinite[3, 500, 1] = np.inf
    faults = {
        b"nothing": b"is no .npy file",
        as_npy(clip)[:-10]: b"is no .npy file",
        as_npy(np.array([None])): b"is no .npy file",
        as_npy(clip[:, :20]): b"a clip is float32 [n, 543, 3]",
        as_npy(clip.astype(np.float64)): b"a clip is float32 [n, 543, 3]",
        as_npy(clip[:0]): b"a clip has 1 to 900 frames",
        as_npy(infinite): b"a coordinate is infinite",
        as_npy(np.full_like(clip, np.nan)): b"nothing was detected in it",
    }
    with served(recorder, Recordings(tmp_path / "out", "anna", ["hello"])) as link:
        for body, reason in faults.items():
            status, _, content = send(link, body)
            assert (status, content) == (400, reason)
        assert send(link, clip, sign="other")[0] == 400
        long = str(MOST_FRAMES * 543 * 3 * 4 + 5000)
        assert send(link, b"", Content_Length=long)[0] == 413
        assert not (tmp_path / "out").exists()


def test_recorded_clips_become_a_data_set(recorder, served, clip, tmp_path, capsys):
    out = tmp_path / "out"
    with served(recorder, Recordings(out, "anna/<b>", ["hello", "thank you"])) as link:
        for sign in ("hello", "thank%20you", "hello"):
            assert send(link, clip, sign)[0] == 201
        status, _, _ = ask(link, "DELETE", "/api/clips/1", Origin=link.rstrip("/"))
        assert status == 200
        assert ask(link, "DELETE", "/api/clips/1", Origin=link.rstrip("/"))[0] == 404
        assert json.loads(ask(link, path="/api/clips")[2]) == [
            {"id": 2, "sign": "thank you"},
            {"id": 3, "sign": "hello"},
        ]
    with served(recorder, Recordings(out, "ben", ["thanks", "hello"])) as link:
        status, _, content = send(link, clip, "hello")
        assert json.loads(content) == {"id": 4, "sign": "hello"}
        assert json.loads(ask(link, path="/api/clips")[2]) == [{"id": 4, "sign": "hello"}]
    store = tmp_path / "store"
    data = ["data=gislr", f"data.root={out}", f"data.store={store}", "workers=1"]
    assert run(["prepare", *data, "data.dtype=float32"]) == 0
    packed = ClipStore.open(store)
    assert packed.clip_signs.tolist() == ["thank you", "hello", "hello"]
    assert packed.clip_signers.tolist() == ["anna/<b>", "anna/<b>", "ben"]
    np.testing.assert_array_equal(packed.read(0), clip)


@pytest.mark.parametrize("step", ["_write_list", "_add_label"])
def test_a_clip_that_was_being_saved_harms_no_other(step, clip, tmp_path, monkeypatch):
    """The list names a clip only when it is whole, whatever ends the process before."""
    out = tmp_path / "out"
    Recordings(out, "anna", ["hello", "bye"]).add("hello", clip)
    before = (out / "train.csv").read_bytes()

    def killed(self, *values):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recordings, step, killed)
    with pytest.raises(KeyboardInterrupt):
        Recordings(out, "anna", ["hello", "bye"]).add("bye", clip)
    monkeypatch.undo()
    assert (out / "train.csv").read_bytes() == before
    again = Recordings(out, "anna", ["hello", "bye"])
    assert again.clips() == [{"id": 1, "sign": "hello"}]
    assert again.add("bye", clip) == {"id": 2, "sign": "bye"}
    listing = GislrSource(out).listing()
    assert not listing.problems
    for entry in listing.entries:
        np.testing.assert_array_equal(read_clip(out / entry.path), clip)


def test_a_full_disk_is_said_and_harms_nothing(recorder, served, clip, tmp_path, monkeypatch):
    def full(*values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recordings, "write_clip", full)
    with served(recorder, Recordings(tmp_path / "out", "anna", ["hello"])) as link:
        status, _, content = send(link, clip)
        assert (status, content) == (507, b"No space left on device")
        monkeypatch.undo()
        assert send(link, clip)[0] == 201


def test_a_disk_that_was_full_for_a_moment_leaves_list_and_sign_map_whole(
    recorder, served, clip, tmp_path, monkeypatch
):
    def full(*values, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "out"
    with served(recorder, Recordings(out, "anna", ["hello", "bye"])) as link:
        assert send(link, clip)[0] == 201
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_text", full)
            assert send(link, clip, "bye")[0] == 507
        with monkeypatch.context() as patch:
            patch.setattr(Recordings, "_write_list", full)
            status, _, content = ask(link, "DELETE", "/api/clips/1", Origin=link.rstrip("/"))
            assert (status, content) == (507, b"No space left on device")
        assert send(link, clip, "bye")[0] == 201
    assert GislrSource(out).signs == ["hello", "bye"]
    assert [entry.sign for entry in GislrSource(out).listing().entries] == ["hello", "bye"]


def test_clips_that_come_at_once_are_all_saved(clip, tmp_path):
    recordings = Recordings(tmp_path / "out", "anna", ["hello"])
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda _: recordings.add("hello", clip), range(16)))
    assert sorted(each["id"] for each in saved) == list(range(1, 17))
    listing = GislrSource(tmp_path / "out").listing()
    assert len({entry.path for entry in listing.entries}) == 16
    assert not listing.problems


def test_a_strangers_list_names_nothing_else_to_replace_or_delete(clip, tmp_path):
    out = tmp_path / "out"
    Recordings(out, "anna", ["hello"]).add("hello", clip)
    (tmp_path / "mine.parquet").write_text("mine")
    rows = ["path,participant_id,sequence_id,sign"]
    rows += ["train_landmark_files/anna/9.parquet,ben,8,hello", "train.csv,anna,1,hello"]
    rows += ["../mine.parquet,anna,2,hello", f"{tmp_path}/mine.parquet,anna,3,hello"]
    (out / "train.csv").write_text("\n".join(rows))
    again = Recordings(out, "anna", ["hello"])
    for number in (1, 2, 3):
        again.remove(number)
    assert (tmp_path / "mine.parquet").read_text() == "mine"
    assert again.add("hello", clip)["id"] == 10
    places = [entry.path for entry in GislrSource(out).listing().entries]
    assert places == [f"train_landmark_files/anna/{number}.parquet" for number in (9, 10)]

    (tmp_path / "elsewhere").mkdir()
    (out / "train_landmark_files" / "eva").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads out of the folder"):
        Recordings(out, "eva", ["hello"]).add("hello", clip)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_requests_that_break_off_or_claim_thousands_of_digits_print_nothing(
    recorder, served, tmp_path, capfd
):
    with served(recorder, Recordings(tmp_path / "out", "anna", ["hello"])) as link:
        assert send(link, b"", Content_Length="9" * 5000)[0] == 413
        host = urlsplit(link).netloc
        lines = [f"POST /api/clips?sign=hello HTTP/1.1\r\nHost: {host}", f"Origin: http://{host}"]
        lines += ["Content-Type: application/octet-stream", "Content-Length: 1000", "\r\n"]
        before = threading.active_count()
        with socket.create_connection(("127.0.0.1", urlsplit(link).port)) as left:
            left.sendall("\r\n".join(lines).encode())
            while threading.active_count() == before:
                time.sleep(0.01)
            left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while threading.active_count() > before:
            time.sleep(0.01)
    assert capfd.readouterr().err == ""


def test_other_columns_and_signers_of_a_data_set_stay(clip, tmp_path):
    out = tmp_path / "out"
    Recordings(out, "anna", ["hello"]).add("hello", clip)
    text = (out / "train.csv").read_text().splitlines()
    (out / "train.csv").write_text(f"{text[0]},view\n{text[1]},front\n")
    Recordings(out, "ben", ["bye"]).add("bye", clip)
    listing = GislrSource(out).listing()
    assert listing.columns == {"view": ["front", ""]}
    assert GislrSource(out).signs == ["hello", "bye"]
    assert not listing.problems


@pytest.mark.parametrize(
    ("signer", "signs", "sentence"),
    [
        ("anna", [], "name each sign once"),
        ("anna", ["a", "a"], "name each sign once"),
        ("anna", ["a", " "], "name each sign once"),
        (" ", ["a"], "name who signs"),
    ],
)
def test_unsound_names_are_refused(signer, signs, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        Recordings(tmp_path, signer, signs)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else than clips"):
        Recordings(tmp_path, "anna", ["a"])
    huge = f"path,participant_id,sequence_id,sign\na.parquet,anna,{'9' * 5000},a\n"
    for text in ("path,sign\na,b\n", huge):
        (tmp_path / "train.csv").write_text(text)
        with pytest.raises(UserError, match=r"train.csv: must have the columns path, partic"):
            Recordings(tmp_path, "anna", ["a"])


def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^port={port}: cannot be used"):
            open_server(tmp_path, port)
