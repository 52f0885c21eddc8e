"""The page's own modules, run by Node: clips as files, the window, the checks of a recording."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.paths import WEB
from asl.runtime.recognise import as_probabilities

PARTS = MEDIAPIPE_HOLISTIC.parts


@pytest.fixture
def node(tmp_path):
    """Runs JavaScript that may import the page's modules; gives what it prints as JSON."""
    if not shutil.which("node"):
        pytest.skip("no node on the PATH")
    for path in WEB.glob("*.js"):
        shutil.copy(path, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    runtime = tmp_path / "node_modules" / "@litertjs" / "core"
    runtime.mkdir(parents=True)
    (runtime / "package.json").write_text('{"main": "index.js", "type": "module"}')
    (runtime / "index.js").write_text("export let Tensor, loadAndCompile, loadLiteRt;")

    def execute(code: str):
        (tmp_path / "test.js").write_text(code)
        command = ["node", "test.js"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return execute


def test_the_rows_of_the_layout_are_those_of_the_workbench(node):
    parts, rows = node("""
        import { LANDMARKS, PARTS, SHOULDERS, WRISTS } from "./layout.js";
        console.log(JSON.stringify([PARTS, [LANDMARKS, ...SHOULDERS, WRISTS.left, WRISTS.right]]));
    """)
    assert parts == {name: rows.start for name, rows in PARTS.items()}
    left, right = MEDIAPIPE_HOLISTIC.reference["shoulders"]
    assert rows == [543, left, right, PARTS["pose"][15], PARTS["pose"][16]]


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_clips_are_read_and_written_as_numpy_does(node, clip, kind, tmp_path):
    np.save(tmp_path / "clip.npy", clip.astype(kind))
    count = node("""
        import { readFile, writeFile } from "node:fs/promises";
        import { readClip, writeClip } from "./npy.js";
        const bytes = await readFile("clip.npy");
        const start = bytes.byteOffset;
        const frames = readClip(bytes.buffer.slice(start, start + bytes.length));
        await writeFile("written.npy", Buffer.from(await writeClip(frames).arrayBuffer()));
        console.log(frames.length);
    """)
    assert count == len(clip)
    np.testing.assert_array_equal(np.load(tmp_path / "written.npy"), clip)


def test_what_is_no_clip_is_said(node, clip, tmp_path):
    np.save(tmp_path / "0.npy", clip[:, :20])
    np.save(tmp_path / "1.npy", np.zeros((1, 543, 3), int))
    np.save(tmp_path / "2.npy", clip)
    whole = (tmp_path / "2.npy").read_bytes()
    (tmp_path / "2.npy").write_bytes(whole[:-1000])
    (tmp_path / "3.npy").write_text("nothing")
    reasons = node("""
        import { readFile } from "node:fs/promises";
        import { readClip } from "./npy.js";
        const said = [];
        for (const name of [0, 1, 2, 3]) {
          const bytes = await readFile(`${name}.npy`);
          const start = bytes.byteOffset;
          try { readClip(bytes.buffer.slice(start, start + bytes.length)); said.push("read"); }
          catch (error) { said.push(error.message); }
        }
        console.log(JSON.stringify(said));
    """)
    shape = "[12,20,3] is not [n, 543, 3]"
    assert reasons == [shape, "no clip of float32", "the file is cut off", "no .npy file"]


def test_probabilities_are_those_of_predict(node):
    outputs = [[0.2, 0.7, 0.1], [1.0, 3.0, 0.0], [-2.0, 1.5, 0.25], [0.0, 0.0, 0.0]]
    computed = node(f"""
        import {{ asProbabilities }} from "./recognizer.js";
        const outputs = {json.dumps(outputs)};
        const each = (numbers) => asProbabilities(Float32Array.from(numbers));
        console.log(JSON.stringify(outputs.map(each)));
    """)
    for got, output in zip(computed, outputs, strict=True):
        expected = as_probabilities(np.array(output, np.float32))
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_files_own_score_is_read_where_it_has_one(node, tmp_path):
    """A sign is named up to the threshold, as `asl predict` does; no tensor stays allocated."""
    (tmp_path / "node_modules" / "@litertjs" / "core" / "index.js").write_text("""
        export let alive = 0;
        export class Tensor {
          constructor(numbers) { this.numbers = numbers; alive += 1; }
          async data() { return this.numbers; }
          delete() { alive -= 1; }
        }
        export const loadLiteRt = async () => {};
        export const loadAndCompile = async (address) => ({
          signatures: address.endsWith("scored") ? { serving_default: {}, recognise: {} } : {},
          run: async (signature, { inputs }) => {
            const outputs = new Tensor(Float32Array.of(0.75, 0.25));
            if (signature !== "recognise") return { outputs };
            return { outputs, embedding: new Tensor([1]), unknown: new Tensor(inputs.numbers) };
          },
        });
    """)
    answers, alive, named = node("""
        import { alive } from "@litertjs/core";
        import { isSign, openRecognizer } from "./recognizer.js";
        globalThis.document = { baseURI: "http://localhost/" };
        const scored = await openRecognizer("scored", 1);
        const plain = await openRecognizer("plain", 1);
        const answers = [await scored(Float32Array.of(0.5)), await plain(Float32Array.of(0.5))];
        const named = [[0.5, 0.5], [0.6, 0.5], [0.6, null], [undefined, 0.5]];
        console.log(JSON.stringify([answers, alive, named.map((each) => isSign(...each))]));
    """)
    probabilities = {"probabilities": [0.75, 0.25]}
    assert answers == [probabilities | {"unknown": 0.5}, probabilities]
    assert alive == 0
    assert named == [True, False, True, True]


def test_an_answer_that_is_not_finite_is_refused_as_by_predict(node, tmp_path):
    (tmp_path / "node_modules" / "@litertjs" / "core" / "index.js").write_text("""
        export class Tensor {
          constructor(numbers) { this.numbers = numbers; }
          async data() { return this.numbers; }
          delete() {}
        }
        export const loadLiteRt = async () => {};
        export const loadAndCompile = async (output) => ({
          signatures: { recognise: {} },
          run: async (_, { inputs }) => {
            const names = ["outputs", "embedding", "unknown"];
            const answers = names.map((name) => [name, new Tensor(Float32Array.of(0.5, 0.5))]);
            return { ...Object.fromEntries(answers), [new URL(output).pathname.slice(1)]: inputs };
          },
        });
    """)
    said = node("""
        import { NotFinite, openRecognizer } from "./recognizer.js";
        globalThis.document = { baseURI: "http://localhost/" };
        const said = [];
        for (const output of ["outputs", "embedding", "unknown"]) {
          const recognise = await openRecognizer(output, 1);
          for (const number of [0.5, NaN, Infinity]) {
            try { await recognise(Float32Array.of(0.5, number)); said.push("answer"); }
            catch (error) { said.push(error instanceof NotFinite ? "not finite" : error.message); }
          }
        }
        console.log(JSON.stringify(said));
    """)
    assert said == 3 * ["answer", "not finite", "not finite"]


def test_the_window_holds_as_many_frames_and_as_much_time_as_a_clip(node):
    """Of a fast camera the last 4 frames, of one of 10 a second what 4 frames of 30 last."""
    fast, slow, padded = node("""
        import { NUMBERS } from "./layout.js";
        import { FrameWindow } from "./window.js";
        const held = (window) => Array.from({ length: 4 }, (_, n) => window.clip[n * NUMBERS]);
        const filled = (rate) => {
          const window = new FrameWindow(4);
          for (let n = 0; n < 9; n += 1) window.add(n / rate, new Float32Array(NUMBERS).fill(n));
          return window;
        };
        const [fast, slow] = [filled(30), filled(10)];
        console.log(JSON.stringify([held(fast), held(slow), slow.clip.length / NUMBERS]));
    """)
    assert fast == [5, 6, 7, 8]
    assert slow == [7, 8, None, None]  # JSON has no NaN
    assert padded == 4


def test_a_recording_is_checked_for_what_training_needs(node):
    found = node("""
        import { problems, handsUp } from "./checks.js";
        import { HAND, NUMBERS, PARTS, SHOULDERS, WRISTS } from "./layout.js";
        const frame = (change = () => {}) => {
          const made = new Float32Array(NUMBERS).fill(NaN);
          const put = (row, x, y) => made.set([x, y, 0], 3 * row);
          for (let row = PARTS.pose; row < PARTS.pose + 33; row += 1) put(row, 0.5, 0.4);
          put(SHOULDERS[0], 0.65, 0.5);
          put(SHOULDERS[1], 0.35, 0.5);
          put(WRISTS.left, 0.7, 0.9);
          put(WRISTS.right, 0.3, 0.3);
          for (let joint = 0; joint < HAND; joint += 1) put(PARTS.right_hand + joint, 0.3, 0.3);
          change(put);
          return made;
        };
        const hand = (put, x) => put(PARTS.right_hand + 8, x, 0.3);
        const clip = (change) => [frame(), frame(change), frame(change)];
        const found = (frames, rate = 30) => problems(frames, rate, 4 / 3);
        console.log(JSON.stringify([
          found(clip()),
          found(clip((put) => hand(put, 0.995))),
          found(clip((put) => (put(SHOULDERS[0], 0.52, 0.5), put(SHOULDERS[1], 0.48, 0.5)))),
          found(clip((put) => put(PARTS.right_hand, NaN, NaN))),
          found(clip(), 9.6),
          handsUp(frame()),
          handsUp(frame((put) => put(WRISTS.left, 0.7, 0.2))),
        ]));
    """)
    assert found == [
        [],
        [["cut_off", {}]],
        [["too_far", {}]],
        [["no_hands", {"share": 33}]],
        [["too_slow", {"rate": 10}]],
        "up_right",
        "up_both",
    ]
