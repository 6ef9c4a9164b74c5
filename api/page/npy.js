// NumPy's npy, as far as the service writes it: C order, little-endian.

const MAGIC = "\x93NUMPY";

const WHOLE = { "<u2": Uint16Array, "<i4": Int32Array };

/** Whole numbers in `buffer`, a typed array in C order. */
export function wholeNumbers(buffer) {
  const { dtype, offset } = parseNpy(buffer);
  if (!(dtype in WHOLE)) throw new Error(`The service sent ${dtype}, not whole numbers.`);
  return new WHOLE[dtype](buffer, offset);
}

/** The array in `buffer`: its dtype (as NumPy writes it, "<f2"), shape, and the offset of its first byte. */
export function parseNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes.length < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== MAGIC) {
    throw new Error("The service did not send an npy array.");
  }
  const view = new DataView(buffer);
  const long = bytes[6] > 1;
  const begin = long ? 12 : 10;
  const offset = begin + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder("latin1").decode(bytes.subarray(begin, offset));
  const dtype = /'descr': *'([^']+)'/.exec(header)?.[1];
  const shape = /'shape': *\(([^)]*)\)/.exec(header)?.[1];
  if (dtype === undefined || shape === undefined || /'fortran_order': *True/.test(header)) {
    throw new Error("The service sent an npy array that this page cannot read.");
  }
  return { dtype, shape: shape.split(",").filter((n) => n.trim()).map(Number), offset };
}
