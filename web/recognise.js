// The signs before the camera, in a video or in a clip of landmarks.

import { RATE, cameraTimes, openCamera, openVideo, videoTimes } from "./frames.js";
import { openLandmarker } from "./landmarks.js";
import { hasPerson } from "./layout.js";
import { readClip } from "./npy.js";
import { pictureOf } from "./picture.js";
import { NotFinite, best, isSign, openRecognizer } from "./recognizer.js";
import { number, say } from "./texts.js";
import { drawSkeleton, mirror, pressCamera, showSigns } from "./view.js";
import { FrameWindow } from "./window.js";

const TOP = 5;
const STEADY = 0.9; // share of the mean time that the latest measurement leaves as it was

const element = (id) => document.getElementById(id);
const video = element("video");
const canvas = element("skeleton");
let page, recognise, landmarker, frames;
let running = new AbortController();
let milliseconds = {}; // of a step, smoothed

export async function start(settings) {
  page = settings;
  frames = new FrameWindow(page.frames);
  element("recognise").hidden = element("open").hidden = false;
  showKnown();
  setThreshold(page.threshold);
  say("status", "loading");
  recognise = await openRecognizer(page.model, page.frames);
  listen();
  say("status", "ready");
}

function listen() {
  element("camera").addEventListener("click", () => (isCamera() ? stop() : run(camera)));
  element("file").addEventListener("change", ({ target }) => {
    if (target.files.length) run(open, target.files[0]);
    target.value = ""; // the same file may be opened again
  });
  element("threshold").addEventListener("input", ({ target }) => setThreshold(Number(target.value)));
  // Anywhere on the page: dropped beside the picture, a file would be opened instead of the page.
  for (const event of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(event, (dragged) => {
      dragged.preventDefault();
      element("picture").classList.toggle("dropping", event === "dragover");
    });
  }
  document.addEventListener("drop", ({ dataTransfer }) => {
    if (dataTransfer.files.length) run(open, dataTransfer.files[0]);
  });
}

/** What can be signed, and how long it may take. */
function showKnown() {
  const about = () => say("about", "about", { seconds: number(page.frames / RATE, 1) });
  document.addEventListener("language", about); // numbers are written otherwise
  about();
  say("known", "known", { count: page.signs.length });
  for (const sign of page.signs) {
    const item = document.createElement("li");
    item.textContent = sign;
    element("known-signs").append(item);
  }
}

const isCamera = () => element("camera").getAttribute("aria-pressed") === "true";

/** Ends what runs, and runs something else until it ends or is ended. */
async function run(what, ...values) {
  stop();
  running = new AbortController();
  const { signal } = running; // of this run: another may be running when it ends
  frames.clear();
  milliseconds = {};
  element("hint").hidden = true;
  try {
    await what(signal, ...values);
  } catch (error) {
    if (signal.aborted) return;
    showNothing();
    say("status", error instanceof NotFinite ? "not_finite" : "failed", { reason: error.message });
  }
}

function stop() {
  running.abort();
  pressCamera(false);
  say("status", "ready");
}

// --- sources ------------------------------------------------------------------------------------

async function camera(signal) {
  try {
    await openCamera(video, signal);
  } catch (error) {
    if (!signal.aborted) say("status", "no_camera", { reason: error.message });
    return;
  }
  pressCamera(true);
  await look(cameraTimes(video, signal), signal, true);
}

async function open(signal, file) {
  if (file.name.toLowerCase().endsWith(".npy")) await openClip(signal, file);
  else await openFilm(signal, file);
}

async function openFilm(signal, file) {
  try {
    await openVideo(video, file, signal);
  } catch {
    if (!signal.aborted) say("status", "no_video", { file: file.name });
    return;
  }
  const count = await look(videoTimes(video, signal), signal, false);
  if (!signal.aborted) say("status", "finished", { file: file.name, frames: count });
}

async function openClip(signal, file) {
  let clip;
  try {
    clip = readClip(await file.arrayBuffer());
  } catch (error) {
    if (!signal.aborted) say("status", "no_clip", { file: file.name, reason: error.message });
    return;
  }
  mirror(video, canvas, false, false);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  for (const [place, frame] of clip.entries()) {
    if (signal.aborted) return;
    await take(signal, place / RATE, frame, null);
    if (!still) await new Promise((resolve) => setTimeout(resolve, 1000 / RATE));
  }
  if (!signal.aborted) say("status", "finished", { file: file.name, frames: clip.length });
}

// --- from picture to sign -----------------------------------------------------------------------

/** Finds landmarks in every picture and names the sign; gives the number of pictures. */
async function look(times, signal, isCamera) {
  if (!landmarker) {
    say("status", "loading_landmarks");
    landmarker = await openLandmarker();
  }
  landmarker.reset();
  let count = 0;
  for await (const time of times) {
    const flip = element("flip").checked;
    mirror(video, canvas, isCamera, flip);
    const frame = await timed("landmarks", () => landmarker.find(pictureOf(video, flip)));
    if (signal.aborted) break;
    await take(signal, time, frame, video);
    if (signal.aborted) break;
    count += 1;
    say("status", hasPerson(frame) ? (frames.hasHand ? "ready" : "no_hand") : "no_person");
  }
  return count;
}

/** One more frame: it is drawn, and the sign of the last ones is named while a hand is seen. */
async function take(signal, time, frame, source) {
  frames.add(time, frame);
  drawSkeleton(canvas, frame, page.bones, source);
  if (!frames.hasHand) {
    showNothing();
    return;
  }
  const answer = await timed("recognition", () => recognise(frames.clip));
  if (!signal.aborted) show(answer);
}

function showNothing() {
  showSigns(element("best"), []);
  say("answer", null);
}

function show({ probabilities, unknown }) {
  const signs = best(probabilities, page.signs, TOP);
  showSigns(element("best"), signs);
  const { sign, probability } = signs[0];
  if (probability < page.threshold || !isSign(unknown, page.unknown)) {
    say("answer", "unsure");
  } else {
    say("answer", null);
    element("answer").textContent = sign;
  }
  const shown = { recognition: number(milliseconds.recognition, 1) };
  if (!("landmarks" in milliseconds)) say("speed", "speed_recognition", shown);
  else say("speed", "speed", { ...shown, landmarks: number(milliseconds.landmarks), rate: number(frames.rate) });
  element("speed").dataset.recognition = milliseconds.recognition;
}

function setThreshold(value) {
  page.threshold = value;
  element("threshold").value = value;
  element("threshold-shown").textContent = `${Math.round(100 * value)} %`;
}

async function timed(step, work) {
  const started = performance.now();
  const result = await work();
  const taken = performance.now() - started;
  const before = milliseconds[step] ?? taken;
  milliseconds = { ...milliseconds, [step]: STEADY * before + (1 - STEADY) * taken };
  return result;
}
