// The picture that landmarks are found in: never mirrored, whatever the camera does.

const canvas = document.createElement("canvas");

/** The element's picture as it is, or with left and right exchanged. */
export function pictureOf(video, flip) {
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.setTransform(flip ? -1 : 1, 0, 0, 1, flip ? canvas.width : 0, 0);
  context.drawImage(video, 0, 0);
  return canvas;
}
