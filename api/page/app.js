// The page: one state, which the address holds too; whatever changes it goes through `go`.

import { askForTokensWith, getJson, setToken } from "./api.js";
import { copy, curlCommand } from "./clip.js";
import { allowLabels, initControls, showControls, showStores, warmed } from "./controls.js";
import { byId } from "./dom.js";
import { initKeys } from "./keys.js";
import { UtteranceList } from "./list.js";
import { Loader } from "./loader.js";
import { showError, showLoading, showNothing, showView, toast } from "./message.js";
import { initPointer } from "./pointer.js";
import { hrefOf, readState } from "./state.js";
import { findLabels, findSubject, storeFacts } from "./subject.js";
import { initTheme } from "./theme.js";
import { showTitle } from "./title.js";
import { askForToken } from "./token.js";
import { View } from "./view.js";
import { panned, zoomed } from "./zoom.js";

let state = readState();
let stores = [];
let subject = null;
let opening = new AbortController();
let writing = null;

const view = new View({ onFailure: (detail) => showError({ message: detail }) });
const list = new UtteranceList({
  onChoose: (utterance) => {
    document.body.classList.remove("browsing");
    go({ utterance, ...AFRESH }, { push: true });
  },
  onError: (error) => showError(error, retry(error)),
});
const loader = new Loader(view, (error) => showError(error, retry(error)));

/** What another utterance does not keep of the one before. */
const AFRESH = { frame: 0, from: 0, to: null };

/** Change the state. `push`: as a new page, to which Back returns. */
function go(patch, { push = false } = {}) {
  const before = state;
  state = { ...state, ...patch };
  clearTimeout(writing);
  if (push) {
    history.replaceState(null, "", hrefOf(before));
    history.pushState(null, "", hrefOf(state));
    // Browsers refuse hundreds of changes in a few seconds.
  } else writing = setTimeout(() => history.replaceState(null, "", hrefOf(state)), 150);
  return apply(before);
}

async function apply(before) {
  const changed = (...keys) => keys.some((key) => state[key] !== before[key]);
  showControls(state);
  if (changed("store", "q", "split", "speaker")) await openList(changed("store"));
  if (changed("store", "other", "utterance")) return openUtterance();
  if (!subject) return;
  view.show(state);
  if (changed("temperature", "from", "to")) loader.soften(state);
}

async function openList(fresh) {
  showFilters();
  showStores(stores, state);
  if (!state.store) return;
  try {
    const { frameShift } = await storeFacts(state.store);
    const ids = await list.show(state, frameShift);
    if (fresh && !state.utterance && ids.length) {
      state = { ...state, utterance: ids[0] };
      history.replaceState(null, "", hrefOf(state));
    }
  } catch (error) {
    showError(error, retry(error));
  }
}

async function openUtterance() {
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  subject = null;
  view.close();
  showStores(stores, state);
  list.mark(state.utterance);
  if (!state.utterance) return showNothing(state.store);
  const { store, other, utterance } = state;
  showLoading(utterance);
  try {
    const found = await findSubject({ store, other, utterance }, signal);
    const { labels, why } = await findLabels({ store, utterance }, found.frames, signal);
    if (signal.aborted) return;
    subject = { ...found, labels };
    allowLabels(why);
    showControls(state);
    showTitle(subject, state);
    showView();
    view.open(subject, state);
    await loader.open(subject, state, signal);
  } catch (error) {
    if (error.name !== "AbortError" && !signal.aborted) showError(error, retry(error));
  }
}

/** What to do about an error: [what the button says, what it does]. */
function retry({ status }) {
  if (status === 401 || status === 403) {
    const again = async () => {
      setToken(await askForToken("It must allow this store.", true));
      start();
    };
    return ["Give another token", again];
  }
  return ["Try again", start];
}

function showFilters() {
  for (const id of ["q", "split", "speaker"]) {
    if (document.activeElement !== byId(id)) byId(id).value = state[id];
  }
}

function zoom(factor, around = state.frame) {
  if (subject) go(zoomed(view.span(), subject.frames, factor, around));
}

function pan(share) {
  if (subject) go(panned(view.span(), subject.frames, share));
}

/** Put the cursor on `frame`, and bring it into view. */
function toFrame(frame) {
  if (!subject) return;
  const target = Math.max(0, Math.min(subject.frames - 1, frame));
  const [first, last] = view.span();
  const away = target < first ? target - first : target >= last ? target - last + 1 : 0;
  go({ frame: target, ...(away ? panned([first, last], subject.frames, away / (last - first)) : {}) });
}

async function copied(text, what) {
  try {
    await copy(text);
    toast(`${what} copied`);
  } catch {
    toast(text);
  }
}

const actions = {
  step: (frames) => toFrame(state.frame + frames),
  page: (direction) => subject && toFrame(state.frame + direction * (view.span()[1] - view.span()[0])),
  end: (direction) => subject && toFrame(direction < 0 ? 0 : subject.frames - 1),
  warm: (direction) => go({ temperature: warmed(state.temperature, direction) }),
  temperature: (temperature) => go({ temperature }),
  zoom,
  all: () => go({ from: 0, to: null }),
  neighbour: (step) => {
    const utterance = list.neighbour(step);
    if (utterance !== null) go({ utterance, ...AFRESH }, { push: true });
  },
  labels: () => !byId("labels").disabled && go({ labels: !state.labels }),
  search: () => {
    document.body.classList.add("browsing");
    byId("q").focus();
  },
  link: () => copied(new URL(hrefOf(state), location.href).href, "Link"),
  theme: () => byId("theme").click(),
  help: () => byId("help-dialog").showModal(),
};

function listen() {
  initTheme(byId("theme"), (theme) => view.setColours(theme));
  initControls(go);
  initKeys(actions);
  initPointer(view, {
    onHover: (frame) => subject && view.hover(frame),
    onPick: (frame) => subject && go({ frame }),
    onZoom: zoom,
    onPan: pan,
    onCentre: (share) => {
      const [first, last] = view.span();
      pan((share * subject.frames - (first + last) / 2) / (last - first));
    },
  });
  byId("zoom-in").addEventListener("click", () => zoom(2));
  byId("zoom-out").addEventListener("click", () => zoom(0.5));
  byId("zoom-all").addEventListener("click", actions.all);
  byId("help").addEventListener("click", actions.help);
  byId("copy-link").addEventListener("click", actions.link);
  byId("copy-curl").addEventListener("click", () => subject && copied(curlCommand(state, ...view.span()), "Command"));
  byId("store").addEventListener("change", ({ target }) => {
    const other = state.other === target.value ? null : state.other;
    go({ store: target.value, other, utterance: null, q: "", split: "", speaker: "", ...AFRESH }, { push: true });
  });
  byId("other").addEventListener("change", ({ target }) => go({ other: target.value || null }, { push: true }));
  byId("browse").addEventListener("click", () => {
    const open = document.body.classList.toggle("browsing");
    byId("browse").setAttribute("aria-expanded", open);
  });
  let typing = null;
  for (const id of ["q", "split", "speaker"]) {
    byId(id).addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        const [q, split, speaker] = ["q", "split", "speaker"].map((name) => byId(name).value.trim());
        go({ q, split, speaker });
      }, 200);
    });
  }
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("popstate", () => {
    clearTimeout(writing);
    const before = state;
    state = readState();
    if (!state.store) state.store = before.store;
    apply(before);
  });
  askForTokensWith(askForToken);
}

async function start() {
  try {
    ({ stores } = await getJson(["stores"]));
    if (!stores.length) return showNothing(null);
    if (!state.store) state = { ...state, store: stores[0].name };
    showControls(state);
    await openList(true);
    await openUtterance();
  } catch (error) {
    showError(error, retry(error));
  }
}

listen();
start();
