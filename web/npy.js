// NumPy's .npy files: clips of landmarks that `asl predict` reads too.

import { LANDMARKS, NUMBERS } from "./layout.js";

const MAGIC = "\x93NUMPY";

/** The frames of a clip, Float32Array each; raises where it is none. */
export function readClip(buffer) {
  const bytes = new Uint8Array(buffer);
  const latin = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (latin(0, 6) !== MAGIC) throw new Error("no .npy file");
  const view = new DataView(buffer);
  const [size, start] = bytes[6] === 1 ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = latin(start, start + size);
  const type = /'descr':\s*'<(f[48])'/.exec(header)?.[1];
  const shape = /'shape':\s*\((\d+),\s*(\d+),\s*(\d+),?\s*\)/.exec(header)?.slice(1).map(Number);
  if (!type || !shape || /'fortran_order':\s*True/.test(header)) throw new Error("no clip of float32");
  if (shape[1] !== LANDMARKS || shape[2] !== 3) throw new Error(`[${shape}] is not [n, ${LANDMARKS}, 3]`);
  const content = buffer.slice(start + size, start + size + shape[0] * NUMBERS * Number(type[1]));
  const numbers = Float32Array.from(type === "f4" ? new Float32Array(content) : new Float64Array(content));
  if (numbers.length < shape[0] * NUMBERS || !shape[0]) throw new Error("the file is cut off");
  return Array.from({ length: shape[0] }, (_, frame) => numbers.subarray(frame * NUMBERS, (frame + 1) * NUMBERS));
}

/** A .npy file, Blob, of some frames. */
export function writeClip(frames) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${frames.length}, ${LANDMARKS}, 3), }`;
  const padded = header.padEnd(64 * Math.ceil((header.length + 11) / 64) - 11) + "\n"; // 10 bytes before
  const start = new Uint8Array(10 + padded.length);
  start.set([...MAGIC, "\x01", "\x00"].map((letter) => letter.charCodeAt(0)));
  new DataView(start.buffer).setUint16(8, padded.length, true);
  start.set([...padded].map((letter) => letter.charCodeAt(0)), 10);
  return new Blob([start, ...frames], { type: "application/octet-stream" });
}
