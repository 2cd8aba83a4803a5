import assert from 'node:assert/strict';
import { deserialize, serialize } from 'node:v8';
import type { Command } from '../../../enclave/engine/commands.ts';
import { Engine } from '../../../enclave/engine/engine.ts';
import type { EngineEvent } from '../../../enclave/engine/events.ts';
import type { Snapshot } from '../../../enclave/engine/snapshot.ts';
import { NaiveEngine } from './naive.ts';
import { drawMood, QuickDice, RandomCommands } from './randomCommands.ts';

export type Tally = Partial<Record<string, number>>;

/**
 * Gives random commands to the engine and to its naive twin, compares events, hash and views, and puts a restored engine in the engine's
 * place now and then. Returns how often each event came.
 */
export function runTwins(seed: number, commands: number): Tally {
  const dice = new QuickDice(seed);
  const mood = drawMood(dice);
  const source = new RandomCommands(dice, mood);
  const twins = { engine: new Engine(), naive: new NaiveEngine() };
  const ledger = new Ledger();
  const tally: Tally = {};
  const history: Command[] = [];
  const step = (command: Command): void => {
    history.push(command);
    const hashBefore = twins.engine.hash();
    const matches = command.kind === 'submit' ? twins.engine.matches(command) : undefined;
    const { order = 0, price = 0, lots = 0 } = command.kind === 'amend' ? command : {};
    const matchesAmended = twins.engine.matchesAmended(order, price, lots);
    const events = twins.engine.apply(command);
    compare(events, twins.naive.apply(command), () => describe(seed, history));
    assert.equal(twins.engine.hash(), twins.naive.hash(), `hashes differ: ${describe(seed, history)}`);
    if (events[0]?.kind === 'rejected')
      assert.equal(twins.engine.hash(), hashBefore, 'a rejected command changed the state');
    if (matches !== undefined) checkMatches(matches, events, () => describe(seed, history));
    if (command.kind === 'amend') assert.ok(countTrades(events) <= matchesAmended, describe(seed, history));
    ledger.follow(command, events, twins.engine);
    checkUncrossed(twins.naive, () => describe(seed, history));
    for (const event of events) {
      const pegged = event.kind === 'traded' && event.referenceTime > 0 ? 'traded pegged' : event.kind;
      const name = 'reason' in event ? `${event.kind} ${event.reason}` : pegged;
      tally[name] = (tally[name] ?? 0) + 1;
    }
  };
  for (const command of source.first()) step(command);
  for (let count = 0; count < commands; count++) {
    step(source.next(twins.naive.state.orders));
    if (dice.int(100) === 0) compareViews(twins.engine, twins.naive);
    if (dice.int(200) === 0) twins.engine = Engine.restore(deserialize(serialize(twins.engine.snapshot())) as Snapshot);
  }
  return tally;
}

function describe(seed: number, history: readonly Command[]): string {
  return `seed ${seed}, command ${history.length}: ${JSON.stringify(history.at(-1))}`;
}

function compare(actual: readonly EngineEvent[], expected: readonly EngineEvent[], where: () => string): void {
  // As texts first: comparing objects takes far longer than everything else.
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepEqual(actual, expected, where());
}

const countTrades = (events: readonly EngineEvent[]) => events.filter(({ kind }) => kind === 'traded').length;

/** What a new order was said to match is what it matched; a match of an account with itself is told of otherwise. */
function checkMatches(matches: number, events: readonly EngineEvent[], where: () => string): void {
  const trades = countTrades(events);
  const isWithItself = events.some((event) => 'reason' in event && event.reason === 'selfTrade');
  assert.ok(isWithItself ? trades < matches : trades === matches, `${trades} trades of ${matches} matches: ${where()}`);
}

/** What the events say of each order must be what its state says: nothing is lost and nothing comes from nowhere. */
class Ledger {
  readonly #orders = new Map<number, { open: number; filled: number }>();

  follow(command: Command, events: readonly EngineEvent[], engine: Engine): void {
    const touched = new Set<number>();
    const entry = (order: number) => {
      touched.add(order);
      const found = this.#orders.get(order);
      assert.ok(found !== undefined, `order ${order} was never accepted`);
      return found;
    };
    for (const event of events) {
      if (event.kind === 'accepted') {
        assert.ok(command.kind === 'submit');
        this.#orders.set(event.order, { open: command.lots, filled: 0 });
        touched.add(event.order);
      } else if (event.kind === 'traded') {
        for (const side of [entry(event.maker), entry(event.taker)]) {
          side.open -= event.lots;
          side.filled += event.lots;
        }
      } else if (event.kind === 'reduced' || event.kind === 'cancelled') {
        const order = entry(event.order);
        order.open -= event.lots;
        assert.equal(order.open === 0, event.kind === 'cancelled');
      } else if (event.kind === 'amended') {
        const order = entry(event.order);
        order.open = event.lots - order.filled;
      }
    }
    for (const id of touched) {
      const { open, filled } = entry(id);
      const state = engine.order(id);
      assert.deepEqual([state?.open ?? 0, state?.filled ?? filled], [open, filled]);
      if (open === 0) this.#orders.delete(id);
    }
  }
}

/** Orders without a minimum never stand so that they could trade. */
function checkUncrossed(naive: NaiveEngine, where: () => string): void {
  for (const market of naive.state.markets) {
    const free = naive.state.orders.filter((order) => order.market === market.market && order.minimumMatch === 0);
    const reference = market.trading ? naive.referenceOf(market) : undefined;
    const prices = (side: string, type: string) =>
      free.filter((order) => order.side === side && order.type === type).map(({ price }) => price);
    const [buy, sell] = [Math.max(...prices('buy', 'limit')), Math.min(...prices('sell', 'limit'))];
    assert.ok(buy < sell, `crossed: ${where()}`);
    if (reference === undefined) continue;
    const [peggedBuy, peggedSell] = [Math.max(...prices('buy', 'pegged')), Math.min(...prices('sell', 'pegged'))];
    const buys = peggedBuy >= reference && Math.min(sell, peggedSell) <= reference;
    const sells = peggedSell <= reference && Math.max(buy, peggedBuy) >= reference;
    assert.ok(!buys && !sells, `pegged orders are crossed: ${where()}`);
  }
}

function compareViews(engine: Engine, naive: NaiveEngine): void {
  const { orders } = naive.state;
  for (const { market } of naive.state.markets) {
    for (const side of ['buy', 'sell'] as const) {
      for (const type of ['limit', 'pegged'] as const) {
        const sign = side === 'buy' ? -1 : 1;
        const expected = orders
          .filter((order) => order.market === market && order.side === side && order.type === type)
          .sort((left, right) => sign * (left.price - right.price) || left.rank - right.rank);
        const levels = [...engine.levels(market, side, type)];
        assert.deepEqual(
          levels.flatMap((level) => level.orders),
          expected,
        );
        assert.equal(new Set(levels.map(({ price }) => price)).size, levels.length);
      }
    }
  }
}
