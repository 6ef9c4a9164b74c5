// Numbers as people read them.

/** A probability in percent, three digits of it. */
export function percent(probability) {
  const value = 100 * probability;
  if (value >= 99.95) return "100 %";
  if (value < 0.001) return value === 0 ? "0 %" : "< 0.001 %";
  return `${value < 1 ? value.toPrecision(2) : value.toFixed(1)} %`;
}

export function nats(value) {
  return value !== 0 && value < 0.01 ? value.toExponential(1) : value.toFixed(2);
}

export function temperatureText(temperature) {
  return String(Number(temperature.toFixed(2)));
}

export function seconds(frames, frameShift, digits = 2) {
  return `${(frames * frameShift).toFixed(digits)} s`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
