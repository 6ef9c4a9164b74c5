// Brings an utterance's log-posteriors to the view: all at T = 1, to be softened here; and of truncated codecs,
// whose tails only their decoder can soften, what is in view at the temperature in view.

import { byId } from "./dom.js";
import { loadSpans } from "./spans.js";
import { temperatureText } from "./numbers.js";

/** How long a temperature must stay before the service is asked for it, in ms. */
const SETTLED = 200;

export class Loader {
  constructor(view, onError) {
    this._view = view;
    this._onError = onError;
    this._subject = null;
    this._latest = null;
    this._asked = false;
    this._softening = new AbortController();
    this._timer = null;
  }

  /** Load all of `subject` until `signal` says to stop. */
  async open(subject, state, signal) {
    this._stop();
    this._subject = null;
    this._latest = state;
    this._asked = false;
    const { stores, frames } = subject;
    const total = frames * stores.length;
    let done = 0;
    say("Loading …");
    await this._load(subject, state, stores, [0, frames], 1, signal, (count) => {
      done += count;
      say(done < total ? `Loading … ${Math.floor((100 * done) / total)} %` : "");
    });
    if (signal.aborted) return;
    this._subject = subject;
    this._signal = signal;
    this.soften(this._latest);
  }

  /** Ask the service for what cannot be softened here, once the temperature stays. */
  soften(state) {
    this._latest = state;
    const subject = this._subject;
    if (!subject?.truncated.length || (state.temperature === 1 && !this._asked)) return;
    this._asked = true;
    this._stop();
    this._softening = new AbortController();
    const signal = AbortSignal.any([this._softening.signal, this._signal]);
    const { temperature } = state;
    say(`Decoding ${subject.truncated.join(", ")} at T = ${temperatureText(temperature)} …`);
    this._timer = setTimeout(async () => {
      try {
        await this._load(subject, state, subject.truncated, this._view.span(), temperature, signal, () => {});
        if (!signal.aborted) say("");
      } catch (error) {
        if (!signal.aborted) this._onError(error);
      }
    }, SETTLED);
  }

  _stop() {
    clearTimeout(this._timer);
    this._softening.abort();
  }

  async _load(subject, { utterance }, stores, [first, last], temperature, signal, onCount) {
    const { classes } = subject;
    const centre = () => this._view.span().reduce((a, b) => (a + b) / 2);
    const load = (store) => {
      const which = subject.stores.indexOf(store);
      const onSpan = (span) => {
        this._view.add(which, span);
        onCount(span.count);
      };
      const wanted = { store, utterance, first, last, temperature, classes, centre, signal, onSpan };
      return loadSpans(wanted);
    };
    await Promise.all(stores.map(load));
  }
}

function say(text) {
  byId("progress").textContent = text;
}
