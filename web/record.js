// Clips of signs that are asked for, one after the other: their landmarks, no pictures.

import { handsUp, problems } from "./checks.js";
import { deleteClip, saveClip, savedClips } from "./clips.js";
import { RATE, cameraTimes, openCamera } from "./frames.js";
import { openLandmarker } from "./landmarks.js";
import { hasHand, hasPerson } from "./layout.js";
import { pictureOf } from "./picture.js";
import { say, text } from "./texts.js";
import { drawSkeleton, mirror, pressCamera } from "./view.js";

const COUNTDOWN = 3; // seconds
const PAUSE = 1500; // milliseconds in which a clip can be looked at before the next one
const KEYS = { " ": "start", r: "again", d: "remove" };

const element = (id) => document.getElementById(id);
const video = element("video");
const canvas = element("skeleton");
let page, saved, landmarker;
let running = new AbortController();
let recent = []; // the frames of the last second, with their times
let taken = null; // the clip that is being recorded, or that could not be saved: {sign, frames, times}
let last = null; // the clip that was saved last
let lastProblems = []; // what is wrong with that clip
let busy = false;
let asked = null; // the sign that is asked for again, where it is not the one with the fewest clips

export async function start(settings) {
  page = settings;
  saved = await savedClips();
  element("record").hidden = false;
  say("where", "where", { folder: page.folder, signer: page.signer });
  say("status", "right_hand_first");
  element("camera").addEventListener("click", () => (running.signal.aborted || !video.srcObject ? run() : stop()));
  element("start").addEventListener("click", record);
  element("again").addEventListener("click", again);
  element("remove").addEventListener("click", remove);
  document.addEventListener("language", show);
  document.addEventListener("keydown", (event) => {
    const button = element(KEYS[event.key.toLowerCase()] ?? "none");
    const keyUsers = event.key === " " ? "button, input, select, a" : "select"; // elements that use the key
    if (!button || event.target.closest(keyUsers) || event.repeat) return;
    event.preventDefault();
    button.click();
  });
  show();
}

// --- the camera ---------------------------------------------------------------------------------

async function run() {
  running = new AbortController();
  const { signal } = running;
  try {
    await openCamera(video, signal);
  } catch (error) {
    if (!signal.aborted) say("status", "no_camera", { reason: error.message });
    return;
  }
  pressed(true);
  element("hint").hidden = true;
  element("start").focus();
  try {
    say("status", "loading_landmarks");
    landmarker ??= await openLandmarker();
    landmarker.reset();
    await watch(signal);
  } catch (error) {
    if (!signal.aborted) say("status", "failed", { reason: error.message });
  }
}

function stop() {
  running.abort();
  if (isRecording()) {
    element("picture").classList.remove("recording");
    taken = null;
    busy = false;
  }
  pressed(false);
  say("status", "right_hand_first");
}

function pressed(on) {
  pressCamera(on);
  show();
}

async function watch(signal) {
  for await (const time of cameraTimes(video, signal)) {
    const flip = element("flip").checked;
    mirror(video, canvas, true, flip);
    const frame = await landmarker.find(pictureOf(video, flip));
    if (signal.aborted) return;
    drawSkeleton(canvas, frame, page.bones, video);
    recent = [...recent, { time, frame }].filter((each) => time - each.time < 1);
    if (isRecording()) {
      taken.frames.push(frame);
      taken.times.push(time);
      if (time - taken.times[0] >= page.seconds) finish();
    } else if (!busy && !taken) {
      say("status", hasPerson(frame) ? (hasHand(frame) ? handsUp(frame) : "no_hand") : "no_person");
    }
    list("problems", last ? lastProblems : currentProblems());
  }
}

/** What is wrong with the clip that is being recorded, else with the picture of the last second. */
function currentProblems() {
  if (isRecording()) return problems(taken.frames, rateOf(taken.times), aspect());
  const now = problems(recent.map((each) => each.frame), rateOf(recent.map((each) => each.time)), aspect());
  return now.filter(([key]) => key !== "no_hands"); // hands may rest
}

const isRecording = () => element("picture").classList.contains("recording");
const aspect = () => video.videoWidth / video.videoHeight || 4 / 3;
const rateOf = (times) => (times.length > 1 ? (times.length - 1) / (times.at(-1) - times[0]) : RATE);

// --- one clip -----------------------------------------------------------------------------------

async function record() {
  if (busy || !video.srcObject) return;
  busy = true;
  last = null;
  show();
  if (taken) {
    await save(); // it could not be saved before
    return;
  }
  const sign = next();
  for (let seconds = COUNTDOWN; seconds > 0; seconds -= 1) {
    element("countdown").textContent = seconds;
    element("countdown").hidden = false;
    await pause(1000);
  }
  element("countdown").hidden = true;
  if (running.signal.aborted) {
    busy = false;
    show();
    return;
  }
  taken = { sign, frames: [], times: [] };
  element("picture").classList.add("recording");
  say("status", "recording");
}

async function finish() {
  element("picture").classList.remove("recording");
  if (taken.frames.some(hasPerson)) {
    lastProblems = problems(taken.frames, rateOf(taken.times), aspect());
    await save();
    return;
  }
  taken = null;
  say("status", "nothing_seen");
  await rest();
}

async function save() {
  try {
    last = await saveClip(taken.sign, taken.frames);
    saved.push(last);
    taken = null;
    asked = null;
    say("status", "saved_clip", last);
  } catch (error) {
    say("status", "not_saved", { reason: error.message });
  }
  await rest();
}

/** What was said can be read; then the next clip may begin. */
async function rest() {
  show();
  await pause(PAUSE);
  busy = false;
  show();
  if (last && element("continue").checked && !lastProblems.length && fewest() < page.clips) record();
}

/** Deletes the clip that was saved last, and asks for its sign again. */
async function again() {
  if (busy || !last) return;
  asked = last.sign;
  await remove();
  if (!last) await record();
}

async function remove() {
  if (busy || !last) return;
  try {
    await deleteClip(last.id);
    saved = saved.filter((clip) => clip.id !== last.id);
    say("status", "deleted_clip", last);
    last = null;
  } catch (error) {
    say("status", "failed", { reason: error.message });
  }
  show();
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// --- which sign is next, and what is shown ------------------------------------------------------

const count = (sign) => saved.filter((clip) => clip.sign === sign).length;
const fewest = () => Math.min(...page.signs.map(count));
/** The sign with the fewest clips, so that signs take turns. */
const next = () => taken?.sign ?? asked ?? page.signs.find((sign) => count(sign) === fewest());

function show() {
  const finished = fewest() >= page.clips && !taken && !asked;
  element("prompt").textContent = finished ? text("all_done", { count: page.clips }) : next();
  element("please").hidden = finished;
  // Not `disabled`: the button that has the focus would lose it with every clip.
  element("start").ariaDisabled = busy || !video.srcObject;
  element("again").ariaDisabled = element("remove").ariaDisabled = busy || !last;
  const line = (sign) => ["saved_sign", { sign, count: count(sign), wanted: page.clips }];
  list("saved", page.signs.map(line));
}

/** Writes texts as a list, where they are not what it shows. */
function list(id, lines) {
  const words = lines.map(([key, values]) => text(key, values));
  if (element(id).dataset.shown === JSON.stringify(words)) return;
  element(id).dataset.shown = JSON.stringify(words);
  element(id).replaceChildren(
    ...words.map((each) => {
      const item = document.createElement("li");
      item.textContent = each;
      return item;
    }),
  );
}
