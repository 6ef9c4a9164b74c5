// Colours of log-posteriors: maps whose lightness rises (dark) or falls (light) in equal steps, one hue after
// another from ink to paper, given by a few points in OKLCH and mixed in OKLab.

/** Chroma and hue of the points, from dark to light; lightness is spread evenly between the ends. */
const HUES = [
  [0.03, 278],
  [0.115, 274],
  [0.11, 240],
  [0.1, 195],
  [0.1, 150],
  [0.012, 100],
];
const ENDS = { dark: [0.185, 0.965], light: [0.985, 0.2] };
const SHADES = 256;

/** 256 colours of the `theme`, from improbable to probable: RGBA as a canvas wants it, one 32-bit number each. */
export function colourMap(theme) {
  const [first, last] = ENDS[theme];
  const hues = theme === "dark" ? HUES : HUES.toReversed();
  const points = hues.map(([chroma, hue], i) => {
    const angle = (hue * Math.PI) / 180;
    const lightness = first + ((last - first) * i) / (hues.length - 1);
    return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
  });
  const bytes = new Uint8ClampedArray(4 * SHADES);
  for (let shade = 0; shade < SHADES; shade++) {
    const at = (shade / (SHADES - 1)) * (points.length - 1);
    const i = Math.min(Math.floor(at), points.length - 2);
    const mixed = points[i].map((value, k) => value + (at - i) * (points[i + 1][k] - value));
    bytes.set([...toRgb(mixed), 255], 4 * shade);
  }
  return new Uint32Array(bytes.buffer);
}

/** sRGB, 0 … 255, of a colour in OKLab (Björn Ottosson's matrices). */
function toRgb([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((linear) => {
    const light = Math.min(Math.max(linear, 0), 1);
    return 255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055);
  });
}
