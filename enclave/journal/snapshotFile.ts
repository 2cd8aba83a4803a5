import type { KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createWhole, fileName, readAt } from './files.ts';
import {
  HEADER_BYTES,
  isAuthentic,
  newHeader,
  opener,
  readHeader,
  sealer,
  TAG_BYTES,
  type JournalPosition,
} from './format.ts';

export const STATE_BYTES_MAX = 1_073_741_824;
const LENGTH_BYTES = 6;
const PART_BYTES = 1_048_576;
const PADDED_BYTES_MIN = 4_096;
/** Lengths keep their 4 highest bits: the host learns the size of a state to an eighth. */
const LENGTH_STEPS = 8;

export type Snapshot = { readonly head: Buffer; readonly state: Buffer };

function paddedLength(bytes: number): number {
  const step = 2 ** Math.floor(Math.log2(Math.max(bytes, PADDED_BYTES_MIN))) / LENGTH_STEPS;
  return Math.max(PADDED_BYTES_MIN, Math.ceil(bytes / step) * step);
}

/** Writes a snapshot whole. The state must not change until it is written. */
export async function writeSnapshot(
  directory: string,
  secret: KeyObject,
  journal: Uint8Array,
  position: JournalPosition,
  state: Uint8Array,
): Promise<void> {
  const header = newHeader('snapshot', secret, journal, position);
  const cipher = sealer(header.key, 0, header.bytes);
  const parts = function* (): Generator<Uint8Array> {
    yield header.bytes;
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUIntBE(state.length, 0, LENGTH_BYTES);
    yield cipher.update(length);
    for (let at = 0; at < state.length; at += PART_BYTES) yield cipher.update(state.subarray(at, at + PART_BYTES));
    yield cipher.update(Buffer.alloc(paddedLength(state.length) - state.length));
    cipher.final();
    yield cipher.getAuthTag();
  };
  const file = await createWhole(join(directory, fileName('snapshot', position.sequence)), parts());
  await file.close();
}

/**
 * The snapshot in the file of a sequence, or undefined where it cannot be opened: its key is another, or it is not as it was written. Whether
 * it belongs to that place, its head tells.
 */
export async function readSnapshot(
  directory: string,
  secret: KeyObject,
  sequence: number,
): Promise<Snapshot | undefined> {
  const bytes = await readFileUpTo(
    join(directory, fileName('snapshot', sequence)),
    paddedLength(STATE_BYTES_MAX) + PADDED_BYTES_MIN,
  );
  const end = bytes.length - TAG_BYTES;
  if (end < HEADER_BYTES + LENGTH_BYTES) return undefined;
  const { bytes: associated, key, position } = readHeader('snapshot', secret, bytes.subarray(0, HEADER_BYTES));
  const decipher = opener(key, 0, associated, bytes.subarray(end));
  const plaintext = decipher.update(bytes.subarray(HEADER_BYTES, end));
  if (!isAuthentic(decipher)) return undefined;
  const state = plaintext.subarray(LENGTH_BYTES, LENGTH_BYTES + plaintext.readUIntBE(0, LENGTH_BYTES));
  return { head: Buffer.from(position.head), state };
}

/** The bytes of a file, or none where there are too many. */
async function readFileUpTo(path: string, bytesMax: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return size > bytesMax ? Buffer.alloc(0) : await readAt(file, Buffer.allocUnsafe(size), 0);
  } finally {
    await file.close();
  }
}
