import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';

/**
 * Writes a file whole or not at all: into a new file beside it, synced, then renamed over it. A kill at any point leaves the old
 * file or the new one. Only the owner may read it.
 */
export function writeFileWhole(path: string, bytes: Uint8Array): void {
  writeBeside(path, bytes, (temporary) => {
    renameSync(temporary, path);
  });
}

/** The same for a file that must not be there yet: of two processes that write it at once, one gets the error `EEXIST`. */
export function writeNewFileWhole(path: string, bytes: Uint8Array): void {
  writeBeside(path, bytes, (temporary) => {
    linkSync(temporary, path);
  });
}

function writeBeside(path: string, bytes: Uint8Array, put: (temporary: string) => void): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.new`;
  // Left by a killed process of the same number; its mode would stay.
  rmSync(temporary, { force: true });
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      for (let offset = 0; offset < bytes.length;) offset += writeSync(file, bytes, offset);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    put(temporary);
  } finally {
    rmSync(temporary, { force: true });
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** The bytes of a file, or undefined where there is none. */
export function readFileIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Takes a lock file for this process; two commands at once on one wallet would spend the same notes. The lock of a process that is gone
 * is taken over. Throws `WALLET_BUSY`.
 *
 * @returns what releases it.
 */
export function takeLock(path: string): () => void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const own = `${path}.${process.pid}`;
  writeFileSync(own, identityOf(process.pid), { mode: 0o600 });
  try {
    acquire(path, own);
  } finally {
    rmSync(own, { force: true });
  }
  let held = true;
  return () => {
    // What is there after the first release is somebody else's.
    if (held) rmSync(path, { force: true });
    held = false;
  };
}

function acquire(path: string, own: string): void {
  for (;;) {
    // A link appears with its content, so nobody ever reads a lock without a holder.
    if (linkIfAbsent(own, path)) return;
    const holder = readFileIfPresent(path)?.toString();
    if (holder === undefined) continue;
    if (isRunning(holder)) {
      const message = `process ${pidOf(holder)} is using this wallet (${path}), which one may do at a time`;
      throw new BitcloakError('WALLET_BUSY', message);
    }
    // Two processes may find the same stale lock, and the slower one must not remove what the faster one has put in its place: so removing
    // has a lock of its own, and under it the look is repeated.
    const takeover = `${path}.takeover`;
    acquire(takeover, own);
    if (readFileIfPresent(path)?.toString() === holder) rmSync(path, { force: true });
    rmSync(takeover, { force: true });
  }
}

function linkIfAbsent(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A process by its number, and where the system tells it by its start: numbers are given out again, in containers at once. */
function identityOf(pid: number): string {
  return `${pid} ${processStat(pid)?.started ?? ''}\n`;
}

function pidOf(identity: string): number {
  return Number(/^\d{1,10}/.exec(identity)?.[0] ?? 0);
}

function isRunning(identity: string): boolean {
  const pid = pidOf(identity);
  // Damaged by a crash of the machine: nobody holds it.
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const stat = processStat(pid);
  // A process that is over keeps its number until its parent asks.
  return stat === undefined || (stat.state !== 'Z' && identityOf(pid) === identity);
}

/** What Linux says of a process; undefined elsewhere. */
function processStat(pid: number): { state: string | undefined; started: string | undefined } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the name in parentheses, which may hold anything; the state is the third and the start the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], started: fields[19] };
}
