import { deserialize, serialize } from 'node:v8';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { Written } from '../exchange/blotter.ts';
import type { ExchangeCommand, ExchangeEvent } from '../exchange/commands.ts';
import { Exchange, type ExchangeSnapshot } from '../exchange/exchange.ts';
import type { Journal } from '../journal/journal.ts';
import { replay } from '../journal/replay.ts';

/** The exchange behind its journal: no command has an effect before it is on the disk, and a restart finds every effect again. */
export class Machine {
  readonly #journal: Journal;
  #exchange: Exchange;
  #last: Promise<unknown> = Promise.resolve();
  #failure: Error | undefined;
  /** Sequence of the last record whose command the state has; records after it may be durable already. */
  #applied: number;
  #snapshotAt: number;
  readonly #listeners = new Set<(written: Written) => void>();

  private constructor(journal: Journal, exchange: Exchange) {
    this.#journal = journal;
    this.#exchange = exchange;
    this.#applied = journal.position.sequence;
    this.#snapshotAt = this.#applied;
  }

  /** Brings the state up to the journal's end. */
  static async open(journal: Journal, operatorId: bigint): Promise<Machine> {
    const machine = new Machine(journal, new Exchange(operatorId));
    await replay(journal, {
      restore: (state) => {
        machine.#exchange = new Exchange(operatorId, deserialize(state) as ExchangeSnapshot);
      },
      apply: (command) => {
        machine.#exchange.apply(deserialize(command) as ExchangeCommand);
        // Whoever they were for has read them, or asks for them.
        machine.#exchange.takeReports();
      },
    });
    return machine;
  }

  /** To be read, never to be changed: every change is a command. */
  get state(): Exchange {
    return this.#exchange;
  }

  /** The journal's newest head, 32 bytes as a number: what a settlement anchors. */
  get head(): bigint {
    return BigInt(`0x${this.headBytes.toString('hex')}`);
  }

  get headBytes(): Buffer {
    return Buffer.from(this.#journal.position.head);
  }

  /** Whether a head is one of the records that are still in the journal. */
  hasHead(head: Uint8Array): boolean {
    return this.#journal.hasHead(head);
  }

  /** Commands since the last snapshot. */
  get sinceSnapshot(): number {
    return this.#applied - this.#snapshotAt;
  }

  /** Calls back with every report, as soon as the command that it is of is durable. */
  listen(listener: (written: Written) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Applies a command once it is durable; commands have their effects in the order in which they were given. Where applying one fails, nothing
   * more is applied: a state that is half of what the journal says must not be traded on.
   */
  execute(command: ExchangeCommand): Promise<ExchangeEvent[]> {
    const durable = this.#journal.append(serialize(command));
    const done = this.#last.then(async () => {
      const { sequence } = await durable;
      if (this.#failure !== undefined) throw this.#failure;
      const events = this.#apply(command);
      this.#applied = sequence;
      return events;
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Resolves when every command that was given before has had its effect, or failed. */
  async caughtUp(): Promise<void> {
    await this.#last;
  }

  /** Bounds what a restart replays. */
  async snapshot(): Promise<void> {
    await this.#last;
    if (this.#failure !== undefined) throw this.#failure;
    this.#snapshotAt = this.#applied;
    await this.#journal.snapshot(this.#applied, serialize(this.#exchange.save()));
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#journal.close();
  }

  #apply(command: ExchangeCommand): ExchangeEvent[] {
    try {
      const events = this.#exchange.apply(command);
      for (const written of this.#exchange.takeReports()) {
        for (const listener of this.#listeners) listener(written);
      }
      return events;
    } catch (error) {
      this.#failure = new BitcloakError('ENCLAVE_FAILED', 'a command could not be applied, and nothing more is', {
        cause: error,
      });
      throw this.#failure;
    }
  }
}
