// Time × senones: one canvas for the colours; names at its left, labels and the cursor on top of it.

import { svg } from "./dom.js";

/** The colour scale: log10 of a posterior, from its floor to 0. */
const FLOOR = -4;

const NAME_HEIGHT = 11;

export class Posteriorgram {
  /** `panel` holds .names (svg), canvas, and .marks (svg). */
  constructor(panel) {
    this.panel = panel;
    this._canvas = panel.querySelector("canvas");
    this._names = panel.querySelector(".names");
    this._marks = panel.querySelector(".marks");
    this._context = this._canvas.getContext("2d");
  }

  /** Width of the picture in CSS pixels: no use for more columns. */
  get width() {
    return Math.max(1, Math.floor(this._canvas.clientWidth));
  }

  /** Posteriors, (senones, columns) row by row; NaN where nothing is loaded yet, which stays clear. */
  paint(posteriors, columns, colours) {
    const rows = posteriors.length / columns;
    this._canvas.width = columns;
    this._canvas.height = rows;
    const image = this._context.createImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const scale = (colours.length - 1) / -FLOOR;
    for (let i = 0; i < pixels.length; i++) {
      const posterior = posteriors[i];
      if (posterior !== posterior) continue;
      const shade = Math.max(0, Math.min(colours.length - 1, (Math.log10(posterior) - FLOOR) * scale));
      pixels[i] = colours[Math.round(shade)];
    }
    this._context.putImageData(image, 0, 0);
  }

  /** Names of the rows, as many as can be read. */
  name(names) {
    const height = this._canvas.clientHeight;
    const shown = [height, ...names].join("\n");
    if (shown === this._named) return;
    this._named = shown;
    const each = height / names.length;
    const step = Math.max(1, Math.ceil(NAME_HEIGHT / each));
    this._names.replaceChildren(
      ...names.flatMap((name, row) =>
        row % step ? [] : [svg("text", { x: "100%", dx: -6, y: (row + 0.5) * each, dy: "0.33em" }, name)],
      ),
    );
  }

  /**
   * Hard labels over the frames `first` … `last`: a stroke in the label's row, or below the picture where
   * that is none of the `senones` shown. `labels`: null hides them.
   */
  mark(labels, senones, first, last) {
    this._marks.setAttribute("viewBox", `0 0 ${last - first} ${senones.length}`);
    if (!labels) return this._marks.replaceChildren();
    const rowOf = new Map(senones.map((senone, row) => [senone, row]));
    let inside = "";
    let outside = "";
    for (let begin = first; begin < last; ) {
      let end = begin + 1;
      while (end < last && labels[end] === labels[begin]) end++;
      const row = rowOf.get(labels[begin]);
      if (row === undefined) outside += `M${begin - first} ${senones.length}H${end - first}`;
      else inside += `M${begin - first} ${row + 0.5}H${end - first}`;
      begin = end;
    }
    this._marks.replaceChildren(
      svg("path", { class: "label", d: inside }),
      svg("path", { class: "label elsewhere", d: outside }),
    );
  }
}
