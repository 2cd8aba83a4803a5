// A parallel run has a process that reports and others that test, one file after another. What the reporter of a serial run sees for
// itself, these leave for it: how their proofs came about, whether a file left something open, and whether one of them broke down.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { proofCounts, type ProofCounts } from './proofCounts.ts';

/** Only the processes that test have it in their environment. */
const VARIABLE = 'BITCLOAK_TEST_WORKER';
const COUNTS = '.counts.json';
const BREAKDOWN = '.breakdown';
const POLL_MS = 20;

type WorkerRun = { readonly directory: string; readonly openMsMax: number };
export type WorkerResults = { readonly proofs: ProofCounts; readonly breakdowns: number };

/**
 * For the process that reports, before the others start. They wait up to `openMsMax` for what a file has open at its end.
 *
 * @returns takes what they have left, once they are gone.
 */
export function announceWorkers(openMsMax: number): () => WorkerResults {
  const run: WorkerRun = { directory: mkdtempSync(path.join(tmpdir(), 'bitcloak-workers-')), openMsMax };
  process.env[VARIABLE] = JSON.stringify(run);
  return () => takeResults(run.directory);
}

/** For a process that reports on itself: a run that a test starts has the environment of the test. */
export function announceNone(): void {
  Reflect.deleteProperty(process.env, VARIABLE);
}

function takeResults(directory: string): WorkerResults {
  const proofs: ProofCounts = { fresh: {}, cached: 0, doubled: 0 };
  const names = readdirSync(directory);
  for (const name of names.filter((each) => each.endsWith(COUNTS))) {
    const { fresh, cached, doubled } = JSON.parse(readFileSync(path.join(directory, name), 'utf8')) as ProofCounts;
    for (const [circuit, count] of Object.entries(fresh)) proofs.fresh[circuit] = (proofs.fresh[circuit] ?? 0) + count;
    proofs.cached += cached;
    proofs.doubled += doubled;
  }
  rmSync(directory, { recursive: true });
  return { proofs, breakdowns: names.filter((name) => name.endsWith(BREAKDOWN)).length };
}

/** What this process knows of the run whose worker it is; undefined in a serial run. */
function workerRun(): WorkerRun | undefined {
  const text = process.env[VARIABLE];
  return text === undefined ? undefined : (JSON.parse(text) as WorkerRun);
}

const leave = ({ directory }: WorkerRun, name: string, text: string) => {
  writeFileSync(path.join(directory, `${process.pid}${name}`), text);
};

async function openResources(): Promise<string[]> {
  // Mocha starts a timer for a hook once that has returned its promise: it is there before a file as well as after it.
  await Promise.resolve();
  return process.getActiveResourcesInfo();
}

let openBefore: readonly string[] = [];
let hasBegun = false;

/** Before each file of a worker. */
export async function beginFile(): Promise<void> {
  const run = workerRun();
  if (run === undefined) return;
  // An error between two files is nobody's: mocha starts another process, and says nothing.
  if (!hasBegun) process.once('exit', (status) => status !== 0 && leave(run, BREAKDOWN, ''));
  hasBegun = true;
  openBefore = await openResources();
}

/** After each file of a worker: leaves the counts so far, and throws where more is open than before the file. */
export async function endFile(): Promise<void> {
  const run = workerRun();
  if (run === undefined) return;
  leave(run, COUNTS, JSON.stringify(proofCounts));
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const left = without(await openResources(), openBefore);
    if (left.length === 0) return;
    if (waitedMs >= run.openMsMax) throw new Error(`the tests of this file left something open: ${left.join(', ')}`);
    // The channel to the process that reports keeps this one; a timer that did would itself be something open.
    await new Promise((done) => setTimeout(done, POLL_MS).unref());
  }
}

/** The entries of `all` that are left once each of `some` has taken an equal one. */
function without(all: readonly string[], some: readonly string[]): string[] {
  const left = [...all];
  for (const one of some) {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}
