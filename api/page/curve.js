// A number per frame over time: entropy, or divergence.

import { svg } from "./dom.js";

export class Curve {
  /** `panel` holds .names (svg) and .curve (svg). */
  constructor(panel) {
    this.panel = panel;
    this._names = panel.querySelector(".names");
    this._curve = panel.querySelector(".curve");
  }

  /** Series of one value per column, NaN where there is none, on a scale from 0 to `top`. */
  draw(series, top, topText) {
    const columns = series[0].length;
    this._curve.setAttribute("viewBox", `0 0 ${columns} 1`);
    this._curve.replaceChildren(
      ...series.flatMap((values, i) => {
        const { line, area } = outline(values, top);
        const parts = [svg("path", { class: `line line-${i}`, d: line })];
        return i === 0 ? [svg("path", { class: "area", d: area }), ...parts] : parts;
      }),
    );
    this._names.replaceChildren(
      svg("text", { x: "100%", dx: -6, y: 0, dy: "0.85em" }, topText),
      svg("text", { x: "100%", dx: -6, y: "100%", dy: "-0.15em" }, "0"),
    );
  }
}

/** Steps, as wide as a column: a frame is a span of time, not a point. */
function outline(values, top) {
  let line = "";
  let area = "";
  let begin = -1;
  for (let column = 0; column <= values.length; column++) {
    const known = column < values.length && values[column] === values[column];
    if (known) {
      const y = (1 - Math.min(values[column] / top, 1)).toFixed(4);
      if (begin < 0) {
        begin = column;
        line += `M${column} ${y}`;
        area += `M${column} 1V${y}`;
      } else {
        line += `V${y}`;
        area += `V${y}`;
      }
      line += `H${column + 1}`;
      area += `H${column + 1}`;
    } else if (begin >= 0) {
      area += `V1H${begin}Z`;
      begin = -1;
    }
  }
  return { line, area };
}

/** The next of 1, 2, 5, 10, … at or above `value`. */
export function niceTop(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}
