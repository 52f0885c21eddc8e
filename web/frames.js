// Pictures of a camera or of a video file, one after the other, at most as many a second as clips
// to train on have. A `signal` (AbortSignal) ends them.

export const RATE = 30;
const SHORTEST = 1 / (RATE * 1.1); // seconds; a camera of 31 pictures a second keeps them all

/** Shows the camera in a video element; raises what the browser says where it may not. */
export async function openCamera(video, signal) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: false,
    video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: RATE } },
  });
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
  signal.addEventListener("abort", close);
  if (signal.aborted) close(); // while the person was asked
  signal.throwIfAborted();
  video.srcObject = stream;
  await video.play();
}

/** The seconds at which the camera has a new picture, which the element then shows. */
export async function* cameraTimes(video, signal) {
  let last = -Infinity;
  while (!signal.aborted) {
    const time = await nextPicture(video, signal);
    if (signal.aborted) return;
    if (time - last < SHORTEST) continue;
    last = time;
    yield time;
  }
}

function nextPicture(video, signal) {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(0), { once: true });
    const seen = (now) => resolve(now / 1000);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(seen);
    else requestAnimationFrame(seen);
  });
}

/** Opens a video file in the element; raises where the browser cannot play it. */
export async function openVideo(video, file, signal) {
  const address = URL.createObjectURL(file);
  signal.addEventListener("abort", () => {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  });
  const loaded = happens(video, "loadeddata", signal);
  video.src = address;
  await loaded;
  if (!video.videoWidth) throw new Error("no picture"); // a codec of which only the sound is known
}

/**
 * The seconds of a file at which the element shows its picture. It is not played but stepped
 * through, so that a slow computer leaves no picture out.
 */
export async function* videoTimes(video, signal) {
  for (let time = 0.5 / RATE; time < video.duration && !signal.aborted; time += 1 / RATE) {
    const there = happens(video, "seeked", signal);
    video.currentTime = time;
    await there;
    if (!signal.aborted) yield time;
  }
}

/** Waits for an event of the element, or for the end of all. */
function happens(video, event, signal) {
  return new Promise((resolve, reject) => {
    const heard = new AbortController();
    const once = { signal: heard.signal };
    video.addEventListener(event, resolve, once);
    video.addEventListener("error", () => reject(new Error(video.error?.message)), once);
    signal.addEventListener("abort", resolve, once);
    for (const each of [event, "error"]) video.addEventListener(each, () => heard.abort(), once);
  });
}
