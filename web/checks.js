// What a clip lacks that clips to train on have. Each check is a key of texts.json with its values.

import { RATE } from "./frames.js";
import { HAND, PARTS, SHOULDERS, WRISTS, has, hasHand, hasLeftHand, hasPerson, hasRightHand, x, y } from "./layout.js";

const HANDS_IN = 0.5; // share of frames
const BORDER = 0.01; // of the picture
const NARROWEST = 0.12; // shoulders, as a share of the picture's shorter side
const SLOWEST = RATE / 2;

/**
 * @param {Float32Array[]} frames
 * @param {number} rate frames a second
 * @param {number} aspect the picture's width as a share of its height
 * @returns {[string, object][]} keys and values of what is wrong
 */
export function problems(frames, rate, aspect) {
  const found = [];
  const people = frames.filter(hasPerson);
  const share = frames.filter(hasHand).length / frames.length;
  if (share < HANDS_IN) found.push(["no_hands", { share: Math.round(100 * share) }]);
  if (people.some(isCutOff)) found.push(["cut_off", {}]);
  if (people.length && median(people.map((frame) => shoulders(frame, aspect))) < NARROWEST) found.push(["too_far", {}]);
  if (rate < SLOWEST) found.push(["too_slow", { rate: Math.round(rate) }]);
  return found;
}

/** Which hand is above its shoulder, as a key: says whether left and right are what they seem. */
export function handsUp(frame) {
  const up = (row, shoulder) => has(frame, row) && y(frame, row) < y(frame, shoulder);
  const left = up(WRISTS.left, SHOULDERS[0]);
  const right = up(WRISTS.right, SHOULDERS[1]);
  if (left && right) return "up_both";
  return left ? "up_left" : right ? "up_right" : "up_none";
}

function isCutOff(frame) {
  const outside = (row) => {
    const [across, down] = [x(frame, row), y(frame, row)];
    return across < BORDER || across > 1 - BORDER || down < BORDER || down > 1 - BORDER;
  };
  const hands = [];
  if (hasLeftHand(frame)) hands.push(PARTS.left_hand);
  if (hasRightHand(frame)) hands.push(PARTS.right_hand);
  const rows = hands.flatMap((first) => Array.from({ length: HAND }, (_, joint) => first + joint));
  return [...rows, ...SHOULDERS].some(outside);
}

function shoulders(frame, aspect) {
  const [a, b] = SHOULDERS;
  const [width, height] = aspect > 1 ? [aspect, 1] : [1, 1 / aspect]; // in units of the shorter side
  return Math.hypot((x(frame, a) - x(frame, b)) * width, (y(frame, a) - y(frame, b)) * height);
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
