// What is looked at, in the page's address: a link shows the same again.

export const TEMPERATURES = { lowest: 0.5, highest: 16 };
export const ROWS = [16, 32, 48, 96, 192];
export const ORDERS = ["mass", "time", "number"];

const EMPTY = {
  store: null,
  other: null,
  utterance: null,
  q: "",
  split: "",
  speaker: "",
  temperature: 1,
  frame: 0,
  /** The frames in view: first, and one beyond the last (null: the utterance's end). */
  from: 0,
  to: null,
  rows: 48,
  order: "mass",
  labels: false,
};

const NAMES = { temperature: "T" };

export function readState(search = location.search) {
  const given = new URLSearchParams(search);
  const state = { ...EMPTY };
  for (const key of Object.keys(EMPTY)) {
    const text = given.get(NAMES[key] ?? key);
    if (text !== null) state[key] = parsed(key, text);
  }
  return state;
}

/** The address of a state, without what is as it is anyway. */
export function hrefOf(state) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    if (value !== EMPTY[key] && value !== null) query.set(NAMES[key] ?? key, value === true ? "1" : String(value));
  }
  const text = query.toString();
  return text ? `?${text}` : location.pathname;
}

/** `temperature` within what the slider has, to six digits. */
export function clampTemperature(temperature) {
  const { lowest, highest } = TEMPERATURES;
  return Number(Math.min(Math.max(temperature, lowest), highest).toPrecision(6));
}

function parsed(key, text) {
  switch (key) {
    case "temperature":
      return clampTemperature(Number(text) || EMPTY.temperature);
    case "frame":
    case "from":
      return wholeNumber(text, 0);
    case "to":
      return wholeNumber(text, null);
    case "rows":
      return ROWS.includes(Number(text)) ? Number(text) : EMPTY.rows;
    case "order":
      return ORDERS.includes(text) ? text : EMPTY.order;
    case "labels":
      return text === "1";
    default:
      return text || EMPTY[key];
  }
}

function wholeNumber(text, otherwise) {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : otherwise;
}
