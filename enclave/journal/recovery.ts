import type { KeyObject } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { corrupt, fileName, isUnfinished, removeFile, sequencesOf } from './files.ts';
import { isSamePosition } from './format.ts';
import { Heads } from './heads.ts';
import { Segment } from './segment.ts';
import { readSnapshot } from './snapshotFile.ts';

export type Recovered = {
  /** The random name of the journal, which every file has. */
  readonly journal: Buffer;
  /** Oldest first. */
  readonly segments: readonly Segment[];
  readonly heads: Heads;
  /** Of the newest snapshot that opens; undefined where every record is to be replayed. */
  readonly snapshot: number | undefined;
  /** Changes the disk, now that all is found right: cuts a torn tail, and makes durable what is left. */
  settle(): Promise<void>;
};

/** Reads a journal and changes nothing. Throws `JOURNAL_CORRUPT`; undefined where there is none yet. */
export async function recover(directory: string, secret: KeyObject): Promise<Recovered | undefined> {
  const names = await readdir(directory);
  const snapshots = sequencesOf('snapshot', names);
  const segments: Segment[] = [];
  for (const sequence of sequencesOf('segment', names)) {
    segments.push(await Segment.find(directory, secret, sequence));
  }
  const [first] = segments;
  const newest = segments.at(-1);
  if (first === undefined || newest === undefined) {
    if (snapshots.length > 0) throw corrupt('there are snapshots and no segments');
    return undefined;
  }
  const heads = new Heads(first.base);
  let lastBatchAt = 0;
  for (const segment of segments) lastBatchAt = await checkSegment(segment, segment === newest, heads);
  const snapshot = await findSnapshot(directory, secret, heads, snapshots);
  if (snapshot === undefined && heads.first > 0) throw corrupt('no snapshot leads up to the oldest record');
  const settle = async () => {
    for (const name of names.filter(isUnfinished)) await removeFile(join(directory, name));
    await newest.settle(lastBatchAt);
  };
  return { journal: first.journal, segments, heads, snapshot, settle };
}

/**
 * Checks every record of a segment and that it follows what was found so far: a head stands for all before it, the journal's name too.
 *
 * @returns where its last batch begins.
 */
async function checkSegment(segment: Segment, isNewest: boolean, heads: Heads): Promise<number> {
  const name = basename(segment.path);
  if (!isSamePosition(segment.base, heads.last)) throw corrupt(`${name} does not follow what is before it`);
  const file = await open(segment.path, 'r');
  try {
    const { rest, lastBatchAt } = await segment.check(file, (head) => {
      heads.push(head);
    });
    if (rest > 0 && !(isNewest && (await segment.isTorn(file, rest)))) {
      throw corrupt(`${name} has something else where record ${segment.last.sequence + 1} belongs`);
    }
    return lastBatchAt;
  } finally {
    await file.close();
  }
}

/** The newest snapshot that opens. One that does not is passed over: the records since the one before say the same. */
async function findSnapshot(
  directory: string,
  secret: KeyObject,
  heads: Heads,
  sequences: readonly number[],
): Promise<number | undefined> {
  for (const sequence of [...sequences].reverse()) {
    const snapshot = await readSnapshot(directory, secret, sequence);
    if (snapshot === undefined) continue;
    const name = fileName('snapshot', sequence);
    // It was written when its record was durable.
    if (sequence > heads.last.sequence) throw corrupt(`the records that ${name} stands for end too early`);
    if (!heads.at(sequence)?.equals(snapshot.head)) throw corrupt(`${name} is of other records`);
    return sequence;
  }
  return undefined;
}
