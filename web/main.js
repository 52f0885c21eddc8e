// Reads what this page is for, and starts it: recognising signs, or recording clips of them.

import { say, startTexts } from "./texts.js";

async function start() {
  const page = await (await fetch("page.json")).json();
  await startTexts(page);
  const mode = page.mode === "record" ? await import("./record.js") : await import("./recognise.js");
  await mode.start(page);
}

start().catch((error) => say("status", "failed", { reason: error.message }));
