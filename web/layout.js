// Where MediaPipe's landmarks lie in a frame of the competition's clips: Float32Array of 543 × 3.

export const LANDMARKS = 543;
export const NUMBERS = LANDMARKS * 3;
export const PARTS = { face: 0, left_hand: 468, pose: 489, right_hand: 522 };
export const HAND = 21;

const pose = (joint) => PARTS.pose + joint;
export const SHOULDERS = [pose(11), pose(12)];
export const WRISTS = { left: pose(15), right: pose(16) };

export const has = (frame, row) => !Number.isNaN(frame[3 * row]);
export const x = (frame, row) => frame[3 * row];
export const y = (frame, row) => frame[3 * row + 1];

export const hasLeftHand = (frame) => has(frame, PARTS.left_hand);
export const hasRightHand = (frame) => has(frame, PARTS.right_hand);
export const hasHand = (frame) => hasLeftHand(frame) || hasRightHand(frame);
export const hasPerson = (frame) => has(frame, PARTS.pose);
