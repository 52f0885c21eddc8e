// The exported .tflite, run by LiteRT.js in this browser.

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { LANDMARKS } from "./layout.js";

// The build for every browser: the others differ in the last digits, and in 1 ms.
const RUNTIME = "vendor/litert/litert_wasm_compat_internal.js";

/** Opens the file; the function that it gives makes probabilities of a clip of `frames` frames. */
export async function openRecognizer(address, frames) {
  await loadLiteRt(new URL(RUNTIME, document.baseURI).href);
  const model = await loadAndCompile(new URL(address, document.baseURI).href, { accelerator: "wasm" });
  return async (clip) => {
    const input = new Tensor(clip, [frames, LANDMARKS, 3]);
    const [output] = await model.run([input]);
    const numbers = await output.data();
    input.delete();
    output.delete();
    return asProbabilities(numbers);
  };
}

/** Numbers that sum to 1: of logits their softmax, of others their share (as asl.runtime does). */
export function asProbabilities(numbers) {
  const largest = Math.max(...numbers);
  const positive = numbers.some((each) => each < 0) ? numbers.map((each) => Math.exp(each - largest)) : numbers;
  const total = positive.reduce((sum, each) => sum + each, 0);
  return total > 0 ? Array.from(positive, (each) => each / total) : Array.from(positive);
}

/** The most probable signs, the most probable first. */
export function best(probabilities, signs, top) {
  return signs
    .map((sign, place) => ({ sign, probability: probabilities[place] }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}
