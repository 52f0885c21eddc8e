// The exported .tflite, run by LiteRT.js in this browser.

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";
import { LANDMARKS } from "./layout.js";

// The build for every browser: the others differ in the last digits, and in 1 ms.
const RUNTIME = "vendor/litert/litert_wasm_compat_internal.js";

const SERVING = "serving_default";
const RECOGNISE = "recognise"; // with all outputs; files of other programs lack it

/** The file's answer to a clip has NaN or infinite numbers, which name no sign. */
export class NotFinite extends Error {}

/**
 * Opens the file. The function that it gives answers a clip of `frames` frames: `probabilities` of
 * the signs, and `unknown`, the score that it shows none of them, undefined where the file has none.
 * It raises NotFinite where `asl predict` refuses the answer, too.
 */
export async function openRecognizer(address, frames) {
  await loadLiteRt(new URL(RUNTIME, document.baseURI).href);
  const model = await loadAndCompile(new URL(address, document.baseURI).href, { accelerator: "wasm" });
  const signature = RECOGNISE in model.signatures ? RECOGNISE : SERVING;
  return async (clip) => {
    const inputs = new Tensor(clip, [frames, LANDMARKS, 3]);
    const tensors = await model.run(signature, { inputs });
    const answer = {};
    for (const [output, tensor] of Object.entries(tensors)) answer[output] = await tensor.data();
    for (const tensor of [inputs, ...Object.values(tensors)]) tensor.delete();
    const finite = Object.values(answer).every((numbers) => numbers.every(Number.isFinite));
    if (!finite) throw new NotFinite("the answer is not finite");
    return { probabilities: asProbabilities(answer.outputs), unknown: answer.unknown?.[0] };
  };
}

/** Numbers that sum to 1: of logits their softmax, of others their share (as asl.runtime does). */
export function asProbabilities(numbers) {
  const largest = Math.max(...numbers);
  const positive = numbers.some((each) => each < 0) ? numbers.map((each) => Math.exp(each - largest)) : numbers;
  const total = positive.reduce((sum, each) => sum + each, 0);
  return total > 0 ? Array.from(positive, (each) => each / total) : Array.from(positive);
}

/** Whether a file names a sign, by its own score and the threshold of that, null where it has none. */
export const isSign = (unknown, threshold) => threshold === null || !(unknown > threshold);

/** The most probable signs, the most probable first. */
export function best(probabilities, signs, top) {
  return signs
    .map((sign, place) => ({ sign, probability: probabilities[place] }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, top);
}
