// Utterances of a store: searched, filtered, page by page.

import { getJson } from "./api.js";
import { byId, element } from "./dom.js";
import { count, seconds } from "./numbers.js";
import { hrefOf } from "./state.js";

const PAGE = 100;

export class UtteranceList {
  /** `onChoose(utterance)`; `onError(error)`. */
  constructor({ onChoose, onError }) {
    this._list = byId("utterances");
    this._more = byId("more");
    this._total = byId("total");
    this._onError = onError;
    this._filters = new AbortController();
    this._marked = null;
    this._more.addEventListener("click", () => this._load());
    new IntersectionObserver(([entry]) => entry.isIntersecting && this._load()).observe(this._more);
    this._list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      onChoose(link.dataset.utterance);
    });
  }

  /** Show the utterances of `state`'s store that its filters leave; resolves to the first page's ids. */
  async show(state, frameShift) {
    this._filters.abort();
    this._filters = new AbortController();
    this._state = state;
    this._frameShift = frameShift;
    this._cursor = null;
    this._loading = false;
    this._list.replaceChildren();
    this._total.textContent = "Looking …";
    this._more.hidden = true;
    return this._load();
  }

  /** Mark the utterance that is looked at. */
  mark(utterance) {
    this._marked = utterance;
    for (const link of this._list.querySelectorAll("a")) {
      const here = link.dataset.utterance === utterance;
      if (here) {
        link.setAttribute("aria-current", "true");
        link.scrollIntoView({ block: "nearest" });
      } else link.removeAttribute("aria-current");
    }
  }

  /** The utterance `step` places from the one that is looked at, or null. */
  neighbour(step) {
    const links = [...this._list.querySelectorAll("a")];
    const at = links.findIndex((link) => link.hasAttribute("aria-current"));
    return links[at < 0 ? 0 : at + step]?.dataset.utterance ?? null;
  }

  async _load() {
    if (this._loading) return [];
    this._loading = true;
    const { signal } = this._filters;
    const { store, q, split, speaker } = this._state;
    const query = { q, split, speaker, limit: PAGE, cursor: this._cursor };
    try {
      const page = await getJson(["stores", store, "utterances"], query, signal);
      if (signal.aborted) return [];
      this._append(page);
      return page.utterances.map((row) => row.utterance_id);
    } catch (error) {
      if (error.name === "AbortError") return [];
      this._total.textContent = error.message;
      this._onError(error);
      return [];
    } finally {
      if (!signal.aborted) this._loading = false;
    }
  }

  _append({ utterances, total, next_cursor: cursor }) {
    this._cursor = cursor;
    this._list.append(...utterances.map((row) => this._item(row)));
    const filtered = this._state.q || this._state.split || this._state.speaker;
    const none = filtered ? "No utterance matches." : "No utterances yet.";
    this._total.textContent = total ? count(total, "utterance") : none;
    this._more.hidden = cursor === null;
    suggest("splits", utterances.map((row) => row.split));
    suggest("speakers", utterances.map((row) => row.speaker));
  }

  _item(row) {
    const id = row.utterance_id;
    const where = [row.split, row.speaker].filter(Boolean).join(" · ");
    const { store, other, temperature } = this._state;
    const href = hrefOf({ store, other, temperature, utterance: id });
    return element(
      "li",
      {},
      element(
        "a",
        { href, "data-utterance": id, "aria-current": id === this._marked ? "true" : null },
        element("span", { class: "id" }, id),
        element("span", { class: "length" }, seconds(row.num_frames, this._frameShift, 1)),
        row.text ? element("span", { class: "words" }, row.text) : null,
        element("span", { class: "where" }, where),
      ),
    );
  }
}

/** Add values that were seen to a datalist. */
function suggest(id, values) {
  const known = byId(id);
  const there = new Set([...known.options].map((option) => option.value));
  for (const value of new Set(values)) {
    if (value && !there.has(value)) known.append(element("option", { value }));
  }
}
