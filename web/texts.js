// The interface in the reader's language: texts.json has a table for each.

let tables = {};
let language = "en";
const shown = new Map(); // id of an element -> the key and values that it shows

export async function startTexts(page) {
  tables = await (await fetch("texts.json")).json();
  const wished = [localStorage.getItem("language"), ...navigator.languages];
  language = wished.map((each) => each?.slice(0, 2)).find((each) => each in tables) ?? "en";
  const choice = document.getElementById("language");
  choice.value = language;
  choice.addEventListener("change", () => {
    language = choice.value;
    localStorage.setItem("language", language);
    write(page);
  });
  write(page);
}

/** The text of a key, with `{name}` replaced by values. */
export function text(key, values = {}) {
  return tables[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Shows a text in an element, and again in another language when that is chosen; null empties it. */
export function say(id, key, values = {}) {
  if (key === null) shown.delete(id);
  else shown.set(id, [key, values]);
  const words = key === null ? "" : text(key, values);
  const element = document.getElementById(id);
  if (element.textContent !== words) element.textContent = words; // screen readers repeat a change
}

/** A number with the digits of the language. */
export function number(value, digits = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

function write(page) {
  document.documentElement.lang = language;
  const recording = page.mode === "record";
  const values = { name: page.name ?? "" };
  for (const element of document.querySelectorAll("[data-text]")) {
    const key = element.dataset.text;
    element.textContent = text(recording && `${key}_record` in tables[language] ? `${key}_record` : key, values);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", text(element.dataset.label));
  }
  for (const [id, [key, given]] of shown) document.getElementById(id).textContent = text(key, given);
  document.title = document.querySelector("h1").textContent;
  document.dispatchEvent(new Event("language"));
}
