// The landmarks of one person in one picture after the other, by MediaPipe's legacy Holistic.

import { NUMBERS, PARTS } from "./layout.js";

const FOLDER = "vendor/holistic/";
// Those of the Python interface, which the competition's clips and `asl landmarks` were made with.
const OPTIONS = {
  modelComplexity: 1,
  smoothLandmarks: true,
  refineFaceLandmarks: false,
  enableSegmentation: false,
  selfieMode: false,
  minDetectionConfidence: 0.5,
  minTrackingConfidence: 0.5,
};

/** Loads the models; `find(picture)` then gives a frame, NaN where a part is not seen. */
export async function openLandmarker() {
  await loadScript(`${FOLDER}holistic.js`);
  const holistic = new window.Holistic({ locateFile: (name) => FOLDER + name });
  let found;
  holistic.setOptions(OPTIONS);
  holistic.onResults((results) => {
    found = frameOf(results);
  });
  await holistic.initialize();
  let before = Promise.resolve(); // it takes one picture at a time
  const inTurn = (work) => (before = before.then(work));
  return {
    find: (picture) =>
      inTurn(async () => {
        found = frameOf({});
        await holistic.send({ image: picture });
        return found;
      }),
    /** Forgets the person that it follows: another video comes. */
    reset: () => inTurn(() => holistic.reset()),
  };
}

function frameOf(results) {
  const frame = new Float32Array(NUMBERS).fill(NaN);
  put(frame, PARTS.face, results.faceLandmarks);
  put(frame, PARTS.left_hand, results.leftHandLandmarks);
  put(frame, PARTS.pose, results.poseLandmarks);
  put(frame, PARTS.right_hand, results.rightHandLandmarks);
  return frame;
}

function put(frame, first, points) {
  points?.forEach((point, number) => frame.set([point.x, point.y, point.z], 3 * (first + number)));
}

function loadScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error(`${address} cannot be loaded`)));
    document.head.append(script);
  });
}
