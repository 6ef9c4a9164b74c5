// Mouse and touch: hovering reads a frame, a press puts the cursor there, a wheel zooms or pans.

import { byId } from "./dom.js";

/**
 * `onHover(frame or null)`, `onPick(frame)`, `onZoom(factor, frame)`, `onPan(share of the view)`,
 * `onCentre(share of the utterance)`.
 */
export function initPointer(view, { onHover, onPick, onZoom, onPan, onCentre }) {
  const plot = byId("plot");
  let pressed = false;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pressed = true;
    onPick(view.frameAt(event.clientX));
  });
  plot.addEventListener("pointermove", (event) => {
    const frame = view.frameAt(event.clientX);
    if (pressed) onPick(frame);
    else if (event.pointerType === "mouse") onHover(frame);
  });
  plot.addEventListener("pointerleave", () => onHover(null));
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => (pressed = false));
  plot.addEventListener(
    "wheel",
    (event) => {
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.ctrlKey || event.metaKey) onZoom(2 ** (-event.deltaY / 200), view.frameAt(event.clientX));
      else if (sideways) onPan(sideways / 1000);
      else return;
      event.preventDefault();
    },
    { passive: false },
  );

  const window = byId("window");
  const centre = (event) => {
    const box = window.getBoundingClientRect();
    onCentre((event.clientX - box.left) / box.width);
  };
  window.addEventListener("pointerdown", (event) => {
    window.setPointerCapture(event.pointerId);
    centre(event);
  });
  window.addEventListener("pointermove", (event) => window.hasPointerCapture(event.pointerId) && centre(event));
}
