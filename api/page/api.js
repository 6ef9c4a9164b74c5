// The service's JSON and npy, with a token where it wants one, and its problems as errors.

const BASE = new URL("v1/", document.baseURI);
const TOKEN = "softstore-token";

export class ProblemError extends Error {
  constructor(status, problem) {
    super(problem.detail);
    this.status = status;
    this.title = problem.title;
    this.code = problem.code;
    this.limit = problem.limit;
  }
}

/** How to get a token from whoever looks: a function of the refusal's words that resolves to a token. */
let prompt = null;

export function askForTokensWith(ask) {
  prompt = ask;
}

export function token() {
  return sessionStorage.getItem(TOKEN);
}

export function setToken(value) {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
}

export async function getJson(path, query = {}, signal = undefined) {
  return (await request(address(path, query), "application/json", signal)).json();
}

export async function getNpy(path, query, signal) {
  return (await request(address(path, query), "application/x-npy", signal)).arrayBuffer();
}

/** The URL of a path below /v1: `path` in segments, which are encoded here. */
export function address(path, query = {}) {
  const url = new URL(path.map(encodeURIComponent).join("/"), BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function request(url, accept, signal) {
  let patience = 5;
  for (;;) {
    const used = token();
    const headers = { Accept: accept, ...(used && { Authorization: `Bearer ${used}` }) };
    const response = await fetch(url, { headers, signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ProblemError(0, { detail: "The service does not answer. Is it running?", code: "unreachable" });
    });
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 429 && patience-- > 0) {
      await pause(Number(response.headers.get("Retry-After")) || 1, signal);
      continue;
    }
    if (response.status !== 401) throw problem;
    // Another request may have got a new token while this one was on its way.
    if (token() === used) setToken(await prompt(problem.message, used !== null));
  }
}

async function problemOf(response) {
  const plain = { detail: `The service answered with status ${response.status}.`, code: "error" };
  const problem = await response.json().catch(() => plain);
  return new ProblemError(response.status, problem.detail ? problem : plain);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}
