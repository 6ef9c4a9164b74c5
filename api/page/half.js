// Every float16 as a number. Log-posteriors arrive as 16 bits each, so whatever is a function of one of them
// is a table of 65,536 entries.

/** Log-posteriors below this are as good as none (softstore cuts there, too). */
const LOWEST = -10000;

export const VALUES = new Float64Array(65536);

for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const value =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent === 31
        ? Infinity
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
  VALUES[bits] = Math.max(sign * value, LOWEST);
}
