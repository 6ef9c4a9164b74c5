// The controls above the picture: they show a state, and say what should change in it.

import { byId, element } from "./dom.js";
import { temperatureText } from "./numbers.js";
import { ROWS, clampTemperature } from "./state.js";

/** Steps of the arrow keys on the temperature, in octaves. */
const STEP = 1 / 8;

/** `change(patch)`. */
export function initControls(change) {
  const slider = byId("temperature");
  const number = byId("temperature-number");
  slider.addEventListener("input", () => change({ temperature: clampTemperature(2 ** Number(slider.value)) }));
  slider.addEventListener("keydown", (event) => {
    const step = { ArrowRight: STEP, ArrowUp: STEP, ArrowLeft: -STEP, ArrowDown: -STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    change({ temperature: warmed(2 ** Number(slider.value), step > 0 ? 1 : -1) });
  });
  number.addEventListener("change", () => {
    const given = Number(number.value);
    change({ temperature: given > 0 ? clampTemperature(given) : 1 });
  });
  byId("rows").append(...ROWS.map((rows) => element("option", { value: rows }, String(rows))));
  byId("rows").addEventListener("change", (event) => change({ rows: Number(event.target.value) }));
  byId("order").addEventListener("change", (event) => change({ order: event.target.value }));
  byId("labels").addEventListener("change", (event) => change({ labels: event.target.checked }));
}

/** The next eighth of an octave above (1) or below (-1). */
export function warmed(temperature, direction) {
  const at = Math.log2(temperature) / STEP;
  const next = direction > 0 ? Math.floor(at + 1e-4) + 1 : Math.ceil(at - 1e-4) - 1;
  return clampTemperature(2 ** (next * STEP));
}

export function showControls({ temperature, rows, order, labels }) {
  const slider = byId("temperature");
  slider.value = Math.log2(temperature);
  slider.setAttribute("aria-valuetext", `T = ${temperatureText(temperature)}`);
  if (document.activeElement !== byId("temperature-number") || document.hasFocus() === false) {
    byId("temperature-number").value = temperatureText(temperature);
  }
  byId("rows").value = rows;
  byId("order").value = order;
  byId("labels").checked = labels && !byId("labels").disabled;
}

/** Labels can be shown, or `why` they cannot. */
export function allowLabels(why) {
  const box = byId("labels");
  box.disabled = why !== null;
  box.closest("label").title = why ?? "Hard labels (L)";
  byId("labels-why").textContent = why ?? "";
}

/** Stores to choose from, and those to compare with. */
export function showStores(stores, { store, other }) {
  const option = ({ name, codec }) => element("option", { value: name }, codec ? `${name} (${codec})` : name);
  byId("store").replaceChildren(...stores.map(option));
  byId("store").value = store;
  const others = stores.filter(({ name }) => name !== store);
  byId("other").replaceChildren(element("option", { value: "" }, "nothing"), ...others.map(option));
  byId("other").value = other ?? "";
  byId("other").disabled = others.length === 0;
}
