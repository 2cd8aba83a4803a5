import type { JournalPosition } from './format.ts';
import type { Journal } from './journal.ts';

/** A state machine that commands alone change. */
export type Replayable = {
  /** Takes over the state of a snapshot; is called at most once, and first. */
  restore(state: Uint8Array): void;
  apply(command: Uint8Array, sequence: number): void;
};

/**
 * Brings a state machine to where the journal is, before anything is appended to it. Commands come from the disk in pieces, so that their
 * number is not limited by memory.
 *
 * @returns the place that the machine is at.
 */
export async function replay(journal: Journal, machine: Replayable): Promise<JournalPosition> {
  const { position } = journal;
  const snapshot = await journal.readSnapshot();
  if (snapshot !== undefined) machine.restore(snapshot.state);
  for await (const commands of journal.commands(snapshot?.sequence ?? 0)) {
    for (const { command, sequence } of commands) machine.apply(command, sequence);
  }
  return position;
}
