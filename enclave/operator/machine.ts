import { deserialize, serialize } from 'node:v8';
import { Exchange, type ExchangeCommand, type ExchangeEvent, type ExchangeOptions } from '../exchange/exchange.ts';
import type { Journal } from '../journal/journal.ts';
import { replay } from '../journal/replay.ts';

/** The exchange behind its journal: no command has an effect before it is on the disk, and a restart finds every effect again. */
export class Machine {
  readonly #journal: Journal;
  #exchange: Exchange;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(journal: Journal, options: ExchangeOptions) {
    this.#journal = journal;
    this.#exchange = new Exchange(options);
  }

  /** Brings the state up to the journal's end. */
  static async open(journal: Journal, options: ExchangeOptions): Promise<Machine> {
    const machine = new Machine(journal, options);
    await replay(journal, {
      restore: (state) => {
        machine.#exchange = new Exchange(options, deserialize(state) as ReturnType<Exchange['save']>);
      },
      apply: (command) => {
        machine.#exchange.apply(deserialize(command) as ExchangeCommand);
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
    return BigInt(`0x${Buffer.from(this.#journal.position.head).toString('hex')}`);
  }

  /** Applies a command once it is durable; commands have their effects in the order in which they were given. */
  execute(command: ExchangeCommand): Promise<ExchangeEvent[]> {
    const durable = this.#journal.append(serialize(command));
    const done = this.#last.then(async () => {
      await durable;
      return this.#exchange.apply(command);
    });
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Bounds what a restart replays. */
  async snapshot(): Promise<void> {
    await this.#last;
    await this.#journal.snapshot(this.#journal.position.sequence, serialize(this.#exchange.save()));
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#journal.close();
  }
}
