import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode, readIfPresent, writeWhole } from './hash.mjs';

const POLL_MS = 100;

/**
 * @typedef {object} Holder
 * @property {number} pid
 * @property {string} [started]  tells it from a later process of the same number
 */

/**
 * Does the work while no other process does work under the same lock file. The lock of a process that is gone is taken over, but not
 * before the tools that it had started are gone too: an npm that lost its parent still writes.
 * @template Result
 * @param {string} lockFile
 * @param {(ownerPid: number) => void} onWait  called once, where another process holds the lock
 * @param {(addHolder: (pid: number) => void) => Promise<Result>} work  tells of every process that it starts
 * @returns {Promise<Result>}
 */
export async function withLock(lockFile, onWait, work) {
  mkdirSync(path.dirname(lockFile), { recursive: true });
  const holders = [holderOf(process.pid)];
  let told = false;
  while (!tryAcquire(lockFile, holders)) {
    const others = readHolders(lockFile);
    if (others === undefined) continue;
    const running = others.find(isRunning);
    if (running === undefined) {
      await removeStale(lockFile);
      continue;
    }
    if (!told) onWait(running.pid);
    told = true;
    await sleep(POLL_MS);
  }
  try {
    return await work((pid) => {
      holders.push(holderOf(pid));
      writeWhole(lockFile, JSON.stringify(holders));
    });
  } finally {
    rmSync(lockFile, { force: true });
  }
}

/**
 * Two waiters may find the same stale lock, and the slower one must not remove what the faster one has put in its place. So removing has
 * a lock of its own, and under it the look is repeated.
 * @param {string} lockFile
 */
async function removeStale(lockFile) {
  await withLock(
    `${lockFile}.takeover`,
    () => {},
    async () => {
      const holders = readHolders(lockFile);
      if (holders !== undefined && !holders.some(isRunning)) rmSync(lockFile, { force: true });
    },
  );
}

/**
 * A link appears with its content, so nobody ever reads a lock without a holder.
 * @param {string} lockFile
 * @param {Holder[]} holders
 */
function tryAcquire(lockFile, holders) {
  const candidate = `${lockFile}.${process.pid}`;
  writeFileSync(candidate, JSON.stringify(holders));
  try {
    linkSync(candidate, lockFile);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(candidate, { force: true });
  }
}

/**
 * @param {string} lockFile
 * @returns {Holder[] | undefined} undefined where the lock is gone
 */
function readHolders(lockFile) {
  const bytes = readIfPresent(lockFile);
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return []; // damaged by a crash of the machine: nobody holds it
  }
}

/**
 * @param {number} pid
 * @returns {Holder}
 */
function holderOf(pid) {
  const started = lookUp(pid)?.started;
  return started === undefined ? { pid } : { pid, started };
}

/** @param {Holder} holder */
function isRunning(holder) {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    if (errorCode(error) !== 'EPERM') throw error;
  }
  const found = lookUp(holder.pid);
  if (found === undefined) return true;
  // Numbers are given out again, in containers at once; and a process that is over keeps its number until its parent asks.
  return found.state !== 'Z' && (holder.started === undefined || holder.started === found.started);
}

/**
 * What Linux says of a process; undefined elsewhere.
 * @param {number} pid
 * @returns {{ state: string | undefined, started: string | undefined } | undefined}
 */
function lookUp(pid) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the name in parentheses, which may hold anything; the state is the third and the start the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0], started: fields[19] };
}
