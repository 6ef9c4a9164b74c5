// p_T = softmax(log p / T), by looking up: a temperature needs exp of 65,536 values at most, then every frame
// is a sum of table entries. So a whole utterance is softened in the time that exp would take for a fraction.

import { VALUES } from "./half.js";

export class Softening {
  constructor(temperature) {
    this.temperature = temperature;
    /** log p / T, by the 16 bits of log p. */
    this.scaled = new Float64Array(65536);
    /** exp(log p / T). */
    this.weights = new Float64Array(65536);
    // Log-posteriors are not above 0: but for rounding, only the half with the sign bit is looked at.
    for (let bits = 0; bits < 65536; bits++) {
      const scaled = VALUES[bits] / temperature;
      this.scaled[bits] = scaled;
      this.weights[bits] = bits < 0x8000 && scaled > 1 ? 0 : Math.exp(scaled);
    }
  }

  /** Log-partition and entropy (nats) of one frame of log-posteriors, given as bits. */
  frame(row) {
    const { scaled, weights } = this;
    let sum = 0;
    let energy = 0;
    for (let c = 0; c < row.length; c++) {
      const bits = row[c];
      const weight = weights[bits];
      sum += weight;
      energy += weight * scaled[bits];
    }
    const logPartition = Math.log(sum);
    return { logPartition, entropy: Math.max(logPartition - energy / sum, 0) };
  }

  /** KL(p ‖ q) in nats of one frame, given what `frame` says of both; q may be softened otherwise. */
  divergence(p, q, ofP, ofQ, softeningOfQ) {
    const { scaled, weights } = this;
    const { scaled: scaledQ } = softeningOfQ;
    let sum = 0;
    for (let c = 0; c < p.length; c++) {
      sum += weights[p[c]] * (scaled[p[c]] - scaledQ[q[c]]);
    }
    return Math.max(sum * Math.exp(-ofP.logPartition) - ofP.logPartition + ofQ.logPartition, 0);
  }
}

/** All that is needed to soften frames to one temperature, whichever temperature they came at. */
export class Softenings {
  constructor(temperature) {
    this.temperature = temperature;
    this._found = new Map();
  }

  /** For log-posteriors at temperature `from`: log p_T = log softmax(from / T · log p_from). */
  from(from) {
    if (!this._found.has(from)) this._found.set(from, new Softening(this.temperature / from));
    return this._found.get(from);
  }
}
