// The last frames as one clip: at most as many as the recognizer reads, and no older than so many
// frames of a clip to train on last, however slow the camera is.

import { RATE } from "./frames.js";
import { NUMBERS, hasHand } from "./layout.js";

const ROUNDING = 1e-6; // seconds

export class FrameWindow {
  #frames = [];
  #times = [];

  /** @param {number} size frames that the recognizer reads */
  constructor(size) {
    this.size = size;
  }

  add(time, frame) {
    this.#frames.push(frame);
    this.#times.push(time);
    const oldest = time - this.size / RATE + ROUNDING;
    while (this.#frames.length > this.size || this.#times[0] < oldest) {
      this.#frames.shift();
      this.#times.shift();
    }
  }

  clear() {
    this.#frames = [];
    this.#times = [];
  }

  get hasHand() {
    return this.#frames.some(hasHand);
  }

  /** Frames a second. */
  get rate() {
    const seconds = this.#times.at(-1) - this.#times[0];
    return seconds > 0 ? (this.#times.length - 1) / seconds : 0;
  }

  /** The clip, Float32Array of size × 543 × 3: frames that are missing are NaN at its end. */
  get clip() {
    const clip = new Float32Array(this.size * NUMBERS).fill(NaN);
    this.#frames.forEach((frame, number) => clip.set(frame, number * NUMBERS));
    return clip;
  }
}
