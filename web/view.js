// What is seen: the skeleton over the picture, and the signs with their probabilities.

import { PARTS, has, x, y } from "./layout.js";
import { number, say } from "./texts.js";

const HANDS = "#ffd166";
const BODY = "#4cc9f0";
const EDGE = "#00000099"; // beneath, so that a line is seen on any picture
const EMPTY = { width: 640, height: 480 };

/** Draws the bones of a frame, each a pair of rows; the canvas is as large as the picture. */
export function drawSkeleton(canvas, frame, bones, video) {
  canvas.width = video?.videoWidth || EMPTY.width;
  canvas.height = video?.videoHeight || EMPTY.height;
  const context = canvas.getContext("2d");
  const unit = canvas.width / 320;
  const at = (row) => [x(frame, row) * canvas.width, y(frame, row) * canvas.height];
  const seen = bones.filter(([a, b]) => has(frame, a) && has(frame, b));
  const draw = (width, colourOf) => {
    context.lineWidth = width;
    for (const [a, b] of seen) {
      context.beginPath();
      context.strokeStyle = colourOf(b);
      context.moveTo(...at(a));
      context.lineTo(...at(b));
      context.stroke();
    }
  };
  draw(3 * unit, () => EDGE);
  draw(1.5 * unit, (row) => (row >= PARTS.pose && row < PARTS.right_hand ? BODY : HANDS));
  canvas.dataset.bones = seen.length;
}

/** Whether picture and skeleton are shown as in a mirror, as people know themselves. */
export function mirror(video, canvas, camera, flip) {
  video.classList.toggle("mirrored", camera && !flip);
  canvas.classList.toggle("mirrored", camera || flip); // found in the picture that is not mirrored
}

/** Writes the list of signs, elements of before used again. */
export function showSigns(list, signs) {
  while (list.children.length > signs.length) list.lastChild.remove();
  while (list.children.length < signs.length) list.append(row());
  signs.forEach(({ sign, probability }, place) => {
    const [name, meter, share] = list.children[place].children;
    name.textContent = sign;
    meter.value = probability;
    meter.setAttribute("aria-label", sign);
    share.textContent = `${number(100 * probability)} %`;
  });
}

function row() {
  const line = document.createElement("li");
  line.append(document.createElement("span"), document.createElement("meter"), document.createElement("span"));
  line.firstChild.className = "name";
  line.lastChild.className = "share";
  return line;
}

/** Shows on the camera's button whether the camera is on. */
export function pressCamera(on) {
  const button = document.getElementById("camera");
  button.setAttribute("aria-pressed", on);
  button.dataset.text = on ? "stop_camera" : "start_camera";
  say("camera", button.dataset.text);
}
