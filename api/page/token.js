// The dialog that asks for a token.

import { byId } from "./dom.js";

const NONE_YET = "Ask whoever runs it for one: they make it with `softstore token add`.";

let asking = null;

/**
 * Resolves to a token; several requests that were refused share one dialog. `detail`: why the token before was
 * `refused`, if there was one.
 */
export function askForToken(detail, refused) {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token-dialog");
    byId("token-title").textContent = refused ? "The token was refused" : "This service wants a token";
    byId("token-detail").textContent = refused ? detail : NONE_YET;
    byId("token").value = "";
    const done = () => {
      const given = byId("token").value.trim();
      if (dialog.returnValue !== "give" || !given) return dialog.showModal();
      dialog.removeEventListener("close", done);
      asking = null;
      resolve(given);
    };
    dialog.addEventListener("close", done);
    dialog.returnValue = "";
    dialog.showModal();
  });
  return asking;
}
