// The time axis: ticks in seconds, and which part of the utterance is in view.

import { svg } from "./dom.js";

const TICK_WIDTH = 70;

/** Ticks for frames `first` … `last`, `shift` seconds each. */
export function drawAxis(axis, first, last, shift) {
  const width = axis.clientWidth;
  const span = (last - first) * shift;
  const step = niceStep((span * TICK_WIDTH) / width);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let n = Math.ceil((first * shift) / step - 1e-9); n * step <= last * shift + 1e-9; n++) {
    const x = ((n * step - first * shift) / span) * width;
    const anchor = x < 16 ? "start" : x > width - 16 ? "end" : "middle";
    ticks.push(
      svg("path", { d: `M${x.toFixed(1)} 0v5` }),
      svg("text", { x: x.toFixed(1), y: 17, "text-anchor": anchor }, `${(n * step).toFixed(digits)} s`),
    );
  }
  axis.replaceChildren(...ticks);
}

/** What is in view of `frames`, as a bar; hidden where that is all. */
export function drawWindow(bar, first, last, frames) {
  bar.hidden = first === 0 && last === frames;
  const thumb = bar.firstElementChild;
  thumb.style.left = `${(100 * first) / frames}%`;
  thumb.style.width = `${(100 * (last - first)) / frames}%`;
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= least);
}
