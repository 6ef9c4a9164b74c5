// The frame under the cursor, in numbers.

import { byId, element } from "./dom.js";
import { nats, percent, seconds, temperatureText } from "./numbers.js";

/** How many senones the table has. */
export const TOP = 12;

let pending = null;

/** `found`: what inspect.js found; `stores`: their names; what senones are called, in full and in short. */
export function showFrame(found, { stores, name, shortName, frameShift }) {
  byId("frame-number").textContent = `Frame ${found.frame}`;
  byId("frame-time").textContent = seconds(found.frame, frameShift);
  if (!found.loaded) {
    byId("stats").replaceChildren();
    byId("top").tHead.replaceChildren();
    byId("top").tBodies[0].replaceChildren();
    return `Frame ${found.frame} is not loaded yet.`;
  }
  const [{ senone: first, posteriors }] = found.top;
  showStats(found, shortName);
  showTop(found, stores, name);
  const sentence =
    `Frame ${found.frame}, ${seconds(found.frame, frameShift)}: ${shortName(first)} ${percent(posteriors[0])}, ` +
    `entropy ${nats(found.entropies[0])} nats at T = ${temperatureText(found.temperature)}`;
  clearTimeout(pending);
  pending = setTimeout(() => (byId("live").textContent = sentence), 400);
  return sentence;
}

function showStats({ top, entropies, divergence, label }, shortName) {
  const dark = top[0].posteriors.map((_, which) => 1 - Math.max(...top.map((row) => row.posteriors[which])));
  const rows = [
    ["Entropy", "entropy", entropies.map((value) => [value, nats(value)]), "nats: −Σ p log p"],
    [
      "As many as",
      "perplexity",
      entropies.map((value) => [Math.exp(value), Math.exp(value).toFixed(1)]),
      "equally likely senones: the exponential of the entropy",
    ],
    ["Dark mass", "dark", dark.map((value) => [value, percent(value)]), "all that is not on the first senone"],
  ];
  if (label) {
    const values = label.posteriors.map((value) => [value, percent(value)]);
    rows.push([`Label ${shortName(label.senone)}`, "label", values, "what the hard label says, and its posterior"]);
  }
  if (divergence !== null) {
    rows.push(["KL", "divergence", [[divergence, nats(divergence)]], "nats: between the two stores at this T"]);
  }
  byId("stats").replaceChildren(
    ...rows.map(([term, key, values, title]) =>
      element(
        "div",
        { title },
        element("dt", {}, term),
        ...values.map(([value, text]) => element("dd", {}, element("data", { value, "data-stat": key }, text))),
      ),
    ),
  );
}

function showTop({ top, label }, stores, name) {
  const table = byId("top");
  table.tHead.replaceChildren(
    element(
      "tr",
      {},
      element("th", { scope: "col" }, "Senone"),
      ...stores.map((store) =>
        element("th", { scope: "col", class: "number", title: store }, stores.length > 1 ? store : "p"),
      ),
    ),
  );
  table.tBodies[0].replaceChildren(
    ...top.map(({ senone, posteriors }) => {
      const row = element(
        "tr",
        { class: label?.senone === senone ? "is-label" : null },
        element("th", { scope: "row", title: `senone ${senone}: ${name(senone)}`, "data-senone": senone }, name(senone)),
        ...posteriors.map((value, which) => cell(value, which)),
      );
      return row;
    }),
  );
}

function cell(value, which) {
  const level = element("i", { class: `level level-${which}` });
  level.style.inlineSize = `${Math.min(100, 100 * value)}%`;
  const gauge = element("i", { class: "gauge", "aria-hidden": "true" }, level);
  return element("td", { class: "number" }, gauge, element("data", { value }, percent(value)));
}
