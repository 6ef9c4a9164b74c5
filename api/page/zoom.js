// Which frames are in view after zooming or panning; both answer with the state's `from` and `to`.

const LEAST_FRAMES = 16;

/** `factor` above 1 shows fewer frames; `around` stays where it is. */
export function zoomed([first, last], frames, factor, around) {
  const centre = around >= first && around < last ? around + 0.5 : (first + last) / 2;
  const length = Math.max(Math.min((last - first) / factor, frames), Math.min(LEAST_FRAMES, frames));
  const begin = centre - ((centre - first) / (last - first)) * length;
  return within(begin, length, frames);
}

/** By a `share` of what is in view, to the right if it is positive. */
export function panned([first, last], frames, share) {
  return within(first + share * (last - first), last - first, frames);
}

function within(begin, length, frames) {
  const whole = Math.round(length);
  const from = Math.max(0, Math.min(Math.round(begin), frames - whole));
  return { from, to: from + whole >= frames ? null : from + whole };
}
