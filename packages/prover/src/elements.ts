const ELEMENT_BYTES = 32;

/** Numbers below 2^256 from 32 little-endian bytes each. */
export function fromBytes(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / ELEMENT_BYTES }, (_, index) =>
    [24, 16, 8, 0].reduce((value, at) => (value << 64n) | view.getBigUint64(index * ELEMENT_BYTES + at, true), 0n),
  );
}

export function toBytes(numbers: readonly bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(numbers.length * ELEMENT_BYTES));
  numbers.forEach((number, index) => {
    for (let word = 0; word < 4; word++) {
      view.setBigUint64(index * ELEMENT_BYTES + 8 * word, BigInt.asUintN(64, number >> BigInt(64 * word)), true);
    }
  });
  return new Uint8Array(view.buffer);
}
