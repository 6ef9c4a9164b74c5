// What keys do. They are also what the help says.

import { byId, element } from "./dom.js";

/** [keys as event.key has them, as people read them, what they do, action name and arguments] */
const KEYS = [
  [["ArrowLeft"], "←", "a frame back", "step", -1],
  [["ArrowRight"], "→", "a frame on", "step", 1],
  [["Shift+ArrowLeft"], "⇧ ←", "ten frames back", "step", -10],
  [["Shift+ArrowRight"], "⇧ →", "ten frames on", "step", 10],
  [["PageUp"], "PgUp", "a screenful back", "page", -1],
  [["PageDown"], "PgDn", "a screenful on", "page", 1],
  [["Home"], "Home", "the first frame", "end", -1],
  [["End"], "End", "the last frame", "end", 1],
  [["["], "[", "colder: sharper", "warm", -1],
  [["]"], "]", "warmer: softer", "warm", 1],
  [["1"], "1", "T = 1", "temperature", 1],
  [["2"], "2", "T = 2", "temperature", 2],
  [["4"], "4", "T = 4", "temperature", 4],
  [["8"], "8", "T = 8", "temperature", 8],
  [["+", "="], "+", "zoom in", "zoom", 2],
  [["-", "_"], "−", "zoom out", "zoom", 0.5],
  [["0"], "0", "the whole utterance", "all"],
  [["j"], "J", "the next utterance", "neighbour", 1],
  [["k"], "K", "the one before", "neighbour", -1],
  [["l"], "L", "hard labels", "labels"],
  [["/"], "/", "search", "search"],
  [["c"], "C", "copy a link", "link"],
  [["d"], "D", "light or dark", "theme"],
  [["?"], "?", "this help", "help"],
];

const MOVES_ONLY_IN_PLOT = new Set(["step", "page", "end"]);

/** Bind keys to `actions`, functions by name, and write them into the help. */
export function initKeys(actions) {
  byId("keys").replaceChildren(
    ...KEYS.map(([, shown, meaning]) =>
      element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, shown)), element("td", {}, meaning)),
    ),
  );
  const bound = new Map(KEYS.flatMap(([keys, , , name, ...args]) => keys.map((key) => [key, { name, args }])));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const shifted = event.shiftKey && event.key.startsWith("Arrow");
    const key = event.key.length > 1 ? event.key : event.key.toLowerCase();
    const found = bound.get(shifted ? `Shift+${key}` : key);
    if (!found || writing(event.target)) return;
    // Elsewhere these keys scroll, or move through a list or along the slider.
    if (MOVES_ONLY_IN_PLOT.has(found.name) && ![byId("plot"), document.body].includes(event.target)) return;
    event.preventDefault();
    actions[found.name](...found.args);
  });
}

function writing(target) {
  return target.matches("input:not([type=range], [type=checkbox]), textarea, select");
}
