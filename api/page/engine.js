// The worker as the page sees it. While it answers one request only the newest of the following is kept: a
// slider that moves faster than frames are softened never builds a queue.

export class Engine {
  /** `on`: what to do with a `look`, with what `inspect` found, and with a `failure`. */
  constructor(on) {
    this._on = on;
    this._session = 0;
    this._worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this._worker.onmessage = ({ data }) => this._receive(data);
    this._worker.onerror = (event) => on.failure(event.message || "The page's worker does not start.");
    this._reset();
  }

  /** Begin with another utterance, in one store or two: `shapes` of {frames, classes}. */
  open(shapes) {
    this._session++;
    this._reset();
    this._send({ kind: "open", shapes });
  }

  /**
   * Log-posteriors of store number `which` at `temperature`, from frame `start` on: float16 at `offset` of
   * `buffer`, which is given away.
   */
  add(which, { start, temperature, buffer, offset }) {
    this._send({ kind: "add", which, start, temperature, buffer, offset }, [buffer]);
  }

  look(request) {
    this._ask("look", request);
  }

  inspect(request) {
    this._ask("inspect", request);
  }

  _reset() {
    this._busy = { look: false, inspect: false };
    this._waiting = { look: null, inspect: null };
  }

  _ask(kind, request) {
    if (this._busy[kind]) {
      this._waiting[kind] = request;
    } else {
      this._busy[kind] = true;
      this._send({ kind, request });
    }
  }

  _receive(answer) {
    if (answer.session !== this._session) return;
    const { kind } = answer;
    if (kind in this._busy) {
      this._busy[kind] = false;
      const next = this._waiting[kind];
      this._waiting[kind] = null;
      if (next) this._ask(kind, next);
    }
    if (kind === "failure") this._on.failure(answer.message);
    else this._on[kind](answer);
  }

  _send(message, transfer = []) {
    this._worker.postMessage({ session: this._session, ...message }, transfer);
  }
}
