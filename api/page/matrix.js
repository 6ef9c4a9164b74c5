// The log-posteriors of one utterance, as they arrive, and which senones hold most of its mass.

import { Softening } from "./softmax.js";

const AS_STORED = new Softening(1);

export class Matrix {
  constructor(frames, classes) {
    this.frames = frames;
    this.classes = classes;
    this.bits = new Uint16Array(frames * classes);
    /** The temperature each frame is there at; 0: not yet. */
    this.temperatures = new Float64Array(frames);
    this.mass = new Float64Array(classes);
    this.moment = new Float64Array(classes);
  }

  /** Put frames `start` … of log p at `temperature`, as float16 bits, frame by frame; at first at T = 1. */
  add(start, bits, temperature) {
    const count = bits.length / this.classes;
    this.bits.set(bits, start * this.classes);
    for (let frame = start; frame < start + count; frame++) {
      const known = this.temperatures[frame];
      this.temperatures[frame] = temperature;
      if (known) continue;
      const row = this.row(frame);
      for (let c = 0; c < row.length; c++) {
        const posterior = AS_STORED.weights[row[c]];
        this.mass[c] += posterior;
        this.moment[c] += posterior * frame;
      }
    }
  }

  row(frame) {
    return this.bits.subarray(frame * this.classes, (frame + 1) * this.classes);
  }

  /** The `count` senones with most mass at T = 1, by falling mass, by mean time, or by number. */
  heaviest(count, order) {
    const { mass, moment } = this;
    const found = Array.from(mass.keys())
      .sort((a, b) => mass[b] - mass[a])
      .slice(0, count);
    if (order === "time") found.sort((a, b) => moment[a] / mass[a] - moment[b] / mass[b]);
    if (order === "number") found.sort((a, b) => a - b);
    return found;
  }
}
