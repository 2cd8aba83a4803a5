import { createHash } from 'node:crypto';

/** An endless stream of bytes that a seed determines: tests that draw from it fail again with the same seed. */
export function seededBytes(seed: string): (length: number) => Uint8Array {
  let counter = 0;
  let rest = Buffer.alloc(0);
  return (length) => {
    while (rest.length < length) {
      rest = Buffer.concat([rest, createHash('sha512').update(`${seed}\n${counter++}`).digest()]);
    }
    const bytes = new Uint8Array(rest.subarray(0, length));
    rest = rest.subarray(length);
    return bytes;
  };
}
