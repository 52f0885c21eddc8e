// The clips that the local server saves: `saveClip` resolves once the clip is on the disk.

import { writeClip } from "./npy.js";

const ADDRESS = "api/clips";

/** The saved clips of this signer: `{id, sign}` each. */
export const savedClips = () => request(ADDRESS);

export function saveClip(sign, frames) {
  const body = writeClip(frames);
  return request(`${ADDRESS}?sign=${encodeURIComponent(sign)}`, { method: "POST", body });
}

export const deleteClip = (id) => request(`${ADDRESS}/${id}`, { method: "DELETE" });

async function request(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw new Error((await response.text()) || response.statusText);
  return response.json();
}
