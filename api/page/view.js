// The utterance that is looked at: asks the worker what is in view, and paints what it answers.

import { drawAxis, drawWindow } from "./axis.js";
import { colourMap } from "./colour.js";
import { Curve, niceTop } from "./curve.js";
import { byId } from "./dom.js";
import { Engine } from "./engine.js";
import { temperatureText } from "./numbers.js";
import { Posteriorgram } from "./posteriorgram.js";
import { TOP, showFrame } from "./readout.js";

/** The least top of the scale of divergences, in nats: below it there is nothing to see. */
const LEAST_DIVERGENCE = 0.01;

export class View {
  constructor({ onFailure }) {
    this._plot = byId("plot");
    this._pictures = [...document.querySelectorAll(".picture")].map((panel) => new Posteriorgram(panel));
    this._entropy = new Curve(byId("entropy"));
    this._divergence = new Curve(byId("divergence"));
    this._engine = new Engine({
      look: (answer) => this._paint(answer),
      inspect: ({ found }) => this._tell(found),
      failure: onFailure,
    });
    this._subject = null;
    this._hovered = null;
    this._painted = null;
    new ResizeObserver(() => this.look()).observe(this._plot);
  }

  /**
   * Begin with another utterance. `subject`: stores (one or two names), frames, classes, frameShift, labels
   * (a number per frame, or null), name(senone), shortName(senone).
   */
  open(subject, state) {
    this._subject = subject;
    this._hovered = null;
    this._painted = null;
    const { stores, frames, classes } = subject;
    this._engine.open(stores.map(() => ({ frames, classes })));
    this._pictures.forEach((picture, which) => {
      picture.panel.hidden = which >= stores.length;
      picture.panel.querySelector(".tag").textContent = stores[which] ?? "";
    });
    byId("divergence").hidden = stores.length < 2;
    byId("divergence").querySelector(".tag").textContent = `KL(${stores.join(" ‖ ")}), nats`;
    this._plot.classList.toggle("double", stores.length > 1);
    this._plot.setAttribute("aria-valuemax", frames - 1);
    delete this._plot.dataset.exact;
    this.show(state);
  }

  close() {
    this._subject = null;
    this._engine.open([]);
  }

  /** `span`: log-posteriors of store number `which`, as `Engine.add` wants them. */
  add(which, span) {
    this._engine.add(which, span);
    this.look();
    this.inspect();
  }

  /** Another temperature, span, frame, … of the same utterance. */
  show(state) {
    this._state = state;
    this.look();
    this.inspect();
  }

  setColours(theme) {
    this._colours = colourMap(theme);
    const scale = byId("scale").getContext("2d");
    const image = scale.createImageData(this._colours.length, 1);
    new Uint32Array(image.data.buffer).set(this._colours);
    scale.putImageData(image, 0, 0);
    if (this._painted) this._paint(this._painted);
  }

  /** The frames in view, first and one beyond the last. */
  span() {
    const { frames } = this._subject;
    const first = Math.min(this._state.from, frames - 1);
    return [first, Math.max(first + 1, Math.min(this._state.to ?? frames, frames))];
  }

  /** The frame under the pointer for now (null: none, the cursor is where it was put). */
  hover(frame) {
    this._hovered = frame;
    this.inspect();
  }

  frameAt(clientX) {
    const box = this._plot.querySelector(".overlay").getBoundingClientRect();
    const [first, last] = this.span();
    const frame = first + Math.floor(((clientX - box.left) / box.width) * (last - first));
    return Math.max(first, Math.min(last - 1, frame));
  }

  look() {
    if (!this._subject || !this._subject.frames) return;
    const { temperature, rows, order } = this._state;
    const [first, last] = this.span();
    this._engine.look({ temperature, first, last, columns: this._pictures[0].width, rows, order });
  }

  inspect() {
    if (!this._subject) return;
    const frame = this._hovered ?? Math.min(this._state.frame, this._subject.frames - 1);
    const label = this._subject.labels?.[frame] ?? null;
    this._engine.inspect({ frame, temperature: this._state.temperature, count: TOP, label });
    this._place(byId("cursor"), frame);
    this._place(byId("pin"), this._state.frame, this._hovered === null);
  }

  _place(cursor, frame, hidden = false) {
    const [first, last] = this.span();
    cursor.hidden = hidden || frame < first || frame >= last;
    cursor.style.left = `${(100 * (frame - first)) / (last - first)}%`;
    cursor.style.width = `${100 / (last - first)}%`;
  }

  _paint(answer) {
    if (!this._subject) return;
    this._painted = answer;
    const { picture, request } = answer;
    const { posteriors, entropies, divergences, senones, columns } = picture;
    const { classes, frames, frameShift, labels, shortName } = this._subject;
    const names = senones.map(shortName);
    posteriors.forEach((values, which) => {
      this._pictures[which].paint(values, columns, this._colours);
      this._pictures[which].name(names);
      this._pictures[which].mark(this._state.labels ? labels : null, senones, request.first, request.last);
    });
    this._entropy.draw(entropies, Math.log(classes), Math.log(classes).toFixed(1));
    if (divergences) {
      const top = niceTop(divergences.reduce((most, value) => (value > most ? value : most), LEAST_DIVERGENCE));
      this._divergence.draw([divergences], top, String(top));
    }
    drawAxis(byId("axis"), request.first, request.last, frameShift);
    drawWindow(byId("window"), request.first, request.last, frames);
    this._report(answer);
  }

  /** For whoever watches the page (its tests do): what the looks have cost, in frames. */
  _report({ picture: { columns }, request: { temperature }, draft, exact, computed }) {
    const { dataset } = this._plot;
    Object.assign(dataset, { exact, columns, temperature, computed });
    if (draft) Object.assign(dataset, { drafted: computed, drafts: Number(dataset.drafts ?? 0) + 1 });
  }

  _tell(found) {
    if (!this._subject) return;
    const { stores, name, shortName, frameShift } = this._subject;
    const sentence = showFrame(found, { stores, name, shortName, frameShift });
    this._plot.setAttribute("aria-valuenow", found.frame);
    this._plot.setAttribute("aria-valuetext", sentence);
    this._plot.dataset.inspected = `${found.frame} ${found.loaded ? temperatureText(found.temperature) : "loading"}`;
  }
}
