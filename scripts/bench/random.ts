import { createCipheriv, hash } from 'node:crypto';

/** An endless stream of bytes that a seed determines, so that every run measures the same work. */
export function seededBytes(seed: string): (length: number) => Uint8Array {
  const stream = createCipheriv('aes-256-ctr', hash('sha256', seed, 'buffer'), new Uint8Array(16));
  return (length) => new Uint8Array(stream.update(new Uint8Array(length)));
}

/** Field elements out of such a stream. */
export function seededElements(seed: string): () => bigint {
  const bytes = seededBytes(seed);
  return () => BigInt(`0x${Buffer.from(bytes(31)).toString('hex')}`);
}
