// What one look at a span of frames shows: for every column of pixels the log-posteriors of some senones, the
// entropy, and with a second store the divergence. A column may stand for several frames.

import { Softenings } from "./softmax.js";

const SLICE_FRAMES = 400;

export class Look {
  /** `matrices`: one or two of the same shape; frames `first` … `last` (exclusive) in `columns` columns. */
  constructor(matrices, { temperature, first, last, columns, rows, order }) {
    this.matrices = matrices;
    this.softenings = new Softenings(temperature);
    this.first = first;
    this.last = last;
    this.columns = Math.min(columns, last - first);
    this.senones = matrices[0].heaviest(rows, order);
    /** Frames softened so far: what this look has cost. */
    this.computed = 0;
  }

  get exact() {
    return this.columns === this.last - this.first;
  }

  /** One frame for each column, the middle one: at once. */
  draft() {
    const picture = this._blank();
    for (let column = 0; column < this.columns; column++) {
      const [begin, end] = this._frames(column);
      this._add(picture, column, (begin + end - 1) >> 1);
    }
    return this._finished(picture);
  }

  /** The mean over the frames of each column: yields now and then, returns the picture. */
  *refine() {
    const picture = this._blank();
    let sliceEnd = this.computed + SLICE_FRAMES;
    for (let column = 0; column < this.columns; column++) {
      const [begin, end] = this._frames(column);
      for (let frame = begin; frame < end; frame++) this._add(picture, column, frame);
      if (this.computed >= sliceEnd) {
        sliceEnd = this.computed + SLICE_FRAMES;
        yield;
      }
    }
    return this._finished(picture);
  }

  _frames(column) {
    const each = (this.last - this.first) / this.columns;
    return [this.first + Math.floor(column * each), this.first + Math.floor((column + 1) * each)];
  }

  _blank() {
    const { columns, senones } = this;
    return {
      columns,
      senones,
      counts: new Float32Array(columns),
      posteriors: this.matrices.map(() => new Float32Array(columns * senones.length)),
      entropies: this.matrices.map(() => new Float32Array(columns)),
      divergences: this.matrices.length > 1 ? new Float32Array(columns) : null,
    };
  }

  _add(picture, column, frame) {
    const temperatures = this.matrices.map((matrix) => matrix.temperatures[frame]);
    if (temperatures.includes(0)) return;
    picture.counts[column]++;
    this.computed++;
    const softenings = temperatures.map((temperature) => this.softenings.from(temperature));
    const rows = this.matrices.map((matrix) => matrix.row(frame));
    const found = rows.map((row, which) => softenings[which].frame(row));
    rows.forEach((row, which) => {
      const { scaled } = softenings[which];
      const { logPartition, entropy } = found[which];
      const posteriors = picture.posteriors[which];
      picture.entropies[which][column] += entropy;
      for (let r = 0; r < this.senones.length; r++) {
        posteriors[r * this.columns + column] += Math.exp(scaled[row[this.senones[r]]] - logPartition);
      }
    });
    if (picture.divergences) {
      picture.divergences[column] += softenings[0].divergence(...rows, ...found, softenings[1]);
    }
  }

  /** Sums become means; columns without a frame become NaN. */
  _finished(picture) {
    const { counts, columns, posteriors, entropies, divergences } = picture;
    for (const sums of [...posteriors, ...entropies, ...(divergences ? [divergences] : [])]) {
      for (let i = 0; i < sums.length; i++) sums[i] /= counts[i % columns];
    }
    return picture;
  }
}
