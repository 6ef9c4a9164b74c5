// Holds the log-posteriors of one utterance in one or two stores, and softens them: the page only paints.

import { inspect } from "./inspect.js";
import { Look } from "./look.js";
import { Matrix } from "./matrix.js";

let session = 0;
let matrices = [];
let newest = 0;

const handlers = {
  /** Begin with another utterance: everything before is forgotten. */
  open({ session: number, shapes }) {
    session = number;
    newest++;
    matrices = shapes.map(({ frames, classes }) => new Matrix(frames, classes));
  },

  add({ which, start, temperature, buffer, offset }) {
    matrices[which].add(start, new Uint16Array(buffer, offset), temperature);
  },

  async look({ request }) {
    const mine = ++newest;
    const look = new Look(matrices, request);
    const draft = look.draft();
    send("look", { picture: draft, draft: true, exact: look.exact, computed: look.computed, request });
    if (look.exact) return;
    const refinement = look.refine();
    for (;;) {
      await breath();
      if (mine !== newest) return;
      const { done, value } = refinement.next();
      if (done) return send("look", { picture: value, exact: true, computed: look.computed, request });
    }
  },

  inspect({ request }) {
    send("inspect", { found: inspect(matrices, request), request });
  },
};

self.onmessage = async ({ data }) => {
  if (data.kind !== "open" && data.session !== session) return;
  try {
    await handlers[data.kind](data);
  } catch (error) {
    send("failure", { message: String(error.message ?? error) });
  }
};

function send(kind, content) {
  self.postMessage({ kind, session, ...content });
}

/** Let what has been asked meanwhile come first. */
function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
