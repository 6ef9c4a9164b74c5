// Copying: what is in view as a link, or as a command.

import { address, token } from "./api.js";

export async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  // Over plain http to another machine there is no clipboard but this.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser did not let the page copy.");
}

/** A command that fetches the frames `start` … `stop` at the temperature in view, as npy. */
export function curlCommand({ store, utterance, temperature }, start, stop) {
  const url = address(["stores", store, "utterances", utterance, "posteriors"], { temperature, start, stop });
  const parts = ["curl", "-H", quoted("Accept: application/x-npy")];
  if (token()) parts.push("-H", '"Authorization: Bearer $SOFTSTORE_TOKEN"');
  return [...parts, "-o", "posteriors.npy", quoted(url.href)].join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
