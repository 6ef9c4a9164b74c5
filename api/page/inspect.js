// One frame in numbers: its most probable senones, its entropy, and what a second store says of it.

import { Softenings } from "./softmax.js";

/** Of `matrices`, one or two, at `temperature`; `label`: a senone to tell the posterior of, or null. */
export function inspect(matrices, { frame, temperature, count, label }) {
  const temperatures = matrices.map((matrix) => matrix.temperatures[frame]);
  if (temperatures.includes(0)) return { frame, loaded: false };
  const all = new Softenings(temperature);
  const softenings = temperatures.map((from) => all.from(from));
  const rows = matrices.map((matrix) => matrix.row(frame));
  const found = rows.map((row, which) => softenings[which].frame(row));
  const posteriorsOf = (senone) =>
    rows.map((row, which) => Math.exp(softenings[which].scaled[row[senone]] - found[which].logPartition));
  const { scaled } = softenings[0];
  const senones = Array.from(rows[0].keys())
    .sort((a, b) => scaled[rows[0][b]] - scaled[rows[0][a]])
    .slice(0, count);
  return {
    frame,
    loaded: true,
    temperature,
    top: senones.map((senone) => ({ senone, posteriors: posteriorsOf(senone) })),
    entropies: found.map(({ entropy }) => entropy),
    divergence: rows.length > 1 ? softenings[0].divergence(...rows, ...found, softenings[1]) : null,
    label: label === null ? null : { senone: label, posteriors: posteriorsOf(label) },
  };
}
