// The frames of an utterance, span by span, those in view first.

import { getNpy } from "./api.js";
import { parseNpy } from "./npy.js";

const SPAN_FRAMES = 512;
const AT_A_TIME = 2;

/**
 * Fetch log-posteriors of the frames `first` … `last` at `temperature` as float16, and give each span to
 * `onSpan({start, count, temperature, buffer, offset})`. `centre()`: the frame around which they are wanted
 * first. Rejects with the first error.
 */
export async function loadSpans(wanted) {
  const { store, utterance, first, last, temperature, classes, centre, signal, onSpan } = wanted;
  const path = ["stores", store, "utterances", utterance, "posteriors"];
  // Spans begin where they always begin: the browser may have them.
  let missing = cut(first - (first % SPAN_FRAMES), last, SPAN_FRAMES);

  async function loadOne({ start, stop }) {
    const buffer = await getNpy(path, { log: true, dtype: "float16", temperature, start, stop }, signal);
    const { dtype, shape, offset } = parseNpy(buffer);
    const count = stop - start;
    if (dtype !== "<f2" || shape[0] !== count || shape[1] !== classes) {
      throw new Error(`The service sent ${dtype} (${shape.join(", ")}) for frames ${start} to ${stop}.`);
    }
    if (!signal.aborted) onSpan({ start, count, temperature, buffer, offset });
  }

  async function loadNext() {
    while (missing.length) {
      const distance = (span) => Math.abs((span.start + span.stop) / 2 - centre());
      const next = missing.reduce((best, span) => (distance(span) < distance(best) ? span : best));
      missing = missing.filter((span) => span !== next);
      try {
        await loadOne(next);
      } catch (error) {
        const { status, limit } = error;
        if (!(status === 422 && limit < next.stop - next.start)) throw error;
        missing.push(...cut(next.start, next.stop, limit));
      }
    }
  }

  await Promise.all(Array.from({ length: AT_A_TIME }, loadNext));
}

function cut(start, stop, length) {
  const spans = [];
  for (let at = start; at < stop; at += length) spans.push({ start: at, stop: Math.min(at + length, stop) });
  return spans;
}
