// A process of its own that writes a file or takes a lock again and again, for tests that need two processes or kill one.
import { createHash } from 'node:crypto';
import process from 'node:process';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { takeLock, writeFileWhole } from '@bitcloak/wallet/files';
import { seededBytes } from './random.ts';

/** Bytes that tell whether they are whole: their hash first. */
function checkedBytes(content: Uint8Array): Uint8Array {
  return Buffer.concat([createHash('sha256').update(content).digest(), content]);
}

/** Writes ever other files of some hundred kilobytes until it is killed. */
function write(path: string): void {
  const bytes = seededBytes(path);
  for (let round = 0; ; round++) {
    writeFileWhole(path, checkedBytes(bytes(100_000 + 1_000 * (round % 200))));
    if (round === 0) process.send?.('began');
  }
}

/** Tries to take the lock at every "take", answers "held" or "busy", and gives it back at every "release". */
function lock(path: string): void {
  let release: (() => void) | undefined;
  process.on('message', (message) => {
    if (message === 'release') {
      release?.();
      release = undefined;
      process.send?.('released');
      return;
    }
    try {
      release = takeLock(path);
      process.send?.('held');
    } catch (error) {
      process.send?.(error instanceof BitcloakError && error.code === 'WALLET_BUSY' ? 'busy' : String(error));
    }
  });
  process.send?.('began');
}

const [, , task, path = ''] = process.argv;
if (task === 'write') write(path);
else lock(path);
