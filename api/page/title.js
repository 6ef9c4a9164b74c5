// What was said, and what the manifest knows of it.

import { byId, element } from "./dom.js";
import { count, seconds } from "./numbers.js";

/** Columns of the manifest that have a place of their own, or say where bytes lie. */
const ELSEWHERE = /^(utterance_id|num_frames|text|shard|first_frame|first_overflow|num_overflow|.*crc32c|.*_kl_t.*)$/;

export function showTitle({ row, frames, frameShift, note }, { store }) {
  byId("text").textContent = row.text || row.utterance_id;
  const more = Object.entries(row)
    .filter(([key, value]) => !ELSEWHERE.test(key) && value !== null && value !== "" && typeof value !== "object")
    .map(([key, value]) => fact(key, typeof value === "number" ? Number(value.toPrecision(4)) : value));
  byId("facts").replaceChildren(
    element("span", { class: "id" }, row.utterance_id),
    element("span", {}, `${seconds(frames, frameShift)}, ${count(frames, "frame")}`),
    ...more,
  );
  byId("note").textContent = note ?? "";
  document.title = `${row.utterance_id} · ${store} · softstore`;
}

function fact(key, value) {
  return element("span", {}, element("span", { class: "key" }, key.replaceAll("_", " ")), ` ${value}`);
}
