// What must be known of an utterance before its posteriors come: in one store, or in two.

import { ProblemError, getJson, getNpy } from "./api.js";
import { wholeNumbers } from "./npy.js";

/** Codecs without full support: at each T their decoder knows the tail better than re-softening would. */
const TRUNCATED = new Set(["topk"]);

const LABELS_AT_A_TIME = 16384;

const stores = new Map();

/** Class count, frame shift, senone names, … of a store; asked for once. */
export async function storeFacts(name) {
  if (!stores.has(name)) {
    // The root's attributes are there at once, while to sum up a store of millions takes a while.
    const [root, names] = await Promise.all([getJson(["stores", name, "objects", "zarr.json"]), classNames(name)]);
    const { class_count: classes, frame_shift: frameShift, tracks, codec } = root.attributes.softstore;
    const truncated = TRUNCATED.has(codec.name);
    stores.set(name, { classes, frameShift, truncated, labelled: "labels" in tracks, names });
  }
  return stores.get(name);
}

/**
 * {row, stores, truncated, frames, classes, frameShift, name, shortName, note}: one or two stores, those whose
 * codec is truncated, what senones are called (in short: without their context), and why the second store is
 * left out (or null).
 */
export async function findSubject({ store, other, utterance }, signal) {
  const find = (name) => getJson(["stores", name, "utterances", utterance], {}, signal);
  const [facts, { utterance: row }] = await Promise.all([storeFacts(store), find(store)]);
  const { classes, frameShift, names } = facts;
  const name = (senone) => names?.[senone] ?? String(senone);
  const subject = {
    row,
    stores: [store],
    truncated: facts.truncated ? [store] : [],
    frames: row.num_frames,
    classes,
    frameShift,
    name,
    shortName: (senone) => name(senone).split(" ")[0],
    note: null,
  };
  if (!other) return subject;
  try {
    const [facing, { utterance: counterpart }] = await Promise.all([storeFacts(other), find(other)]);
    if (facing.classes !== classes) {
      subject.note = `${other} has ${facing.classes} senones, ${store} has ${classes}: they cannot be compared.`;
    } else if (counterpart.num_frames !== row.num_frames) {
      subject.note = `In ${other} this utterance has ${counterpart.num_frames} frames, not ${row.num_frames}.`;
    } else {
      subject.stores.push(other);
      if (facing.truncated) subject.truncated.push(other);
    }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    subject.note = error.message;
  }
  return subject;
}

/** {labels, why}: a senone per frame, or why there are none. */
export async function findLabels({ store, utterance }, frames, signal) {
  const { labelled } = await storeFacts(store);
  if (!labelled) return { labels: null, why: `${store} holds no hard labels.` };
  const path = ["stores", store, "utterances", utterance, "labels"];
  const labels = new Int32Array(frames);
  try {
    for (let start = 0; start < frames; start += LABELS_AT_A_TIME) {
      const stop = Math.min(start + LABELS_AT_A_TIME, frames);
      labels.set(wholeNumbers(await getNpy(path, { start, stop }, signal)), start);
    }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { labels: null, why: error.message };
  }
  return { labels, why: null };
}

/** Names of all classes, or null where the store has none. */
async function classNames(name) {
  const names = [];
  for (;;) {
    const page = await getJson(["stores", name, "classes"], { start: names.length });
    if (!page.classes) return null;
    names.push(...page.classes);
    if (!page.classes.length || names.length >= page.class_count) return names;
  }
}
