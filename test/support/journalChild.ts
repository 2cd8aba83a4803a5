// A process of its own that uses a journal until it is killed, and says on its output, a file, at once what was acknowledged.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Journal } from '../../enclave/journal/journal.ts';
import { commandOf, openJournal, replayed, type HashingMachine } from './journal.ts';

/** Unlike a stream's writes, what this has written is there when the process is killed. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Appends by several at once, so that writes have one record, or many. */
async function append(journal: Journal, appenders: number): Promise<void> {
  let next = journal.position.sequence + 1;
  const appender = async () => {
    for (;;) {
      const { sequence, head } = await journal.append(commandOf(next++));
      say(`${sequence} ${Buffer.from(head).toString('hex')}`);
    }
  };
  await Promise.all(Array.from({ length: appenders }, appender));
}

/** Takes one snapshot after another of what is durable. */
async function snapshot(journal: Journal, machine: HashingMachine): Promise<void> {
  // Long enough for a kill to come while it is written.
  const rest = Buffer.alloc(300_000);
  for (;;) {
    while (machine.sequence < journal.position.sequence)
      machine.apply(commandOf(machine.sequence + 1), machine.sequence + 1);
    await journal.snapshot(machine.sequence, Buffer.concat([machine.snapshot(), rest]));
  }
}

const [, , task, directory = '', appenders = '1'] = process.argv;
try {
  const journal = await openJournal(directory);
  const machine = await replayed(journal);
  say('open');
  if (task === 'snapshot') await Promise.all([append(journal, Number(appenders)), snapshot(journal, machine)]);
  else await append(journal, Number(appenders));
} catch (error) {
  say(error instanceof BitcloakError ? error.code : String(error));
  process.exit(1);
}
