// What the page says where there is nothing to see, or in passing.

import { byId } from "./dom.js";

export function showLoading(utterance) {
  say("loading", `Opening ${utterance} …`);
}

export function showNothing(store) {
  if (store === null) say("empty", "No stores are served.", "Start the service with one: softstore serve STORE");
  else say("empty", "No utterance to look at.", `Choose one of ${store}, or wait until it has some.`);
}

/** `remedy`: [what a button says, what it does]. */
export function showError(error, remedy = null) {
  say("error", error.title ?? "That did not work", error.message, remedy);
}

export function showView() {
  byId("main").dataset.state = "ready";
}

let fading = null;

/** Say `text` for a few seconds. */
export function toast(text) {
  clearTimeout(fading);
  byId("toast").textContent = text;
  fading = setTimeout(() => (byId("toast").textContent = ""), 2500);
}

function say(kind, headline, detail = "", remedy = null) {
  byId("main").dataset.state = kind;
  const message = byId("message");
  message.querySelector(".headline").textContent = headline;
  message.querySelector(".detail").textContent = detail;
  const button = message.querySelector("button");
  button.hidden = remedy === null;
  button.textContent = remedy?.[0] ?? "";
  button.onclick = remedy?.[1] ?? null;
}
