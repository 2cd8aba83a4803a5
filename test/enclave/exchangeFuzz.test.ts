import assert from 'node:assert/strict';
import { Exchange } from '../../enclave/exchange/exchange.ts';
import { Dice } from '../support/dice.ts';
import { assertConsistent, EXCHANGE_RULES, OPERATOR_ID, Pit } from '../support/exchange.ts';
import { moveMarket, Owners } from '../support/exchangeCommands.ts';

/** A restart, or many, must make no difference: what the commands alone lead to. */
function assertReplayed(pit: Pit): void {
  const replayed = new Exchange(OPERATOR_ID);
  for (const command of pit.commands) replayed.apply(command);
  assert.equal(replayed.hash(), pit.exchange.hash());
}

const statusesOf = (pit: Pit) =>
  pit.exchange
    .save()
    .blotter.flatMap(([, { fills, withdrawals }]) => [...fills.values(), ...withdrawals.values()])
    .map(({ status }) => status);

describe('an exchange that everybody does what he likes with', () => {
  it('settles all that it matched while time stands still', () => {
    let [rounds, settled] = [0, 0];
    for (const seed of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const dice = new Dice(`exchange ${seed}`);
      const pit = new Pit();
      pit.isWatched = () => dice.chance(1, 40);
      const owners = new Owners(pit, dice);
      for (let step = 0; step < 700; step++) {
        const choice = dice.int(100);
        if (choice < 12) owners.credit();
        else if (choice < 66) owners.order();
        else if (choice < 76) owners.amend();
        else if (choice < 80) owners.cancel();
        else if (choice < 85) owners.withdraw();
        else if (choice < 91) moveMarket(pit, dice);
        else if (choice < 93) pit.retire([dice.int(200)]);
        else if (choice < 95 && pit.exchange.batch === undefined) pit.plan({ always: dice.chance(1, 4) });
        else if (choice < 96) pit.fail();
        else if (choice < 98) {
          if (pit.exchange.batch === undefined) pit.plan();
          if (pit.exchange.batch !== undefined) pit.land();
          if (dice.chance(1, 2)) pit.insertAll();
        } else {
          rounds += pit.settleAll();
          assertConsistent(pit.exchange);
          // What matched before this has had its time: the longest that locks and orders let pass.
          pit.at(pit.time + dice.pick([1, 30, 30, 600, 600, 4_000, 20_000]));
        }
        if (step % 35 === 0) assertConsistent(pit.exchange);
        if (step % 60 === 0) pit.restart();
      }
      rounds += pit.settleAll();
      assertReplayed(pit);
      const statuses = statusesOf(pit);
      settled += statuses.length;
      assert.ok(statuses.every((status) => status === 'settled'));
    }
    assert.ok(rounds > 60 && settled > 500, `${settled} in ${rounds} batches`);
  });

  it('keeps its books, whatever comes in whatever order', () => {
    const seen = new Set<string>();
    for (const seed of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const dice = new Dice(`disorder ${seed}`);
      const pit = new Pit();
      pit.isWatched = () => dice.chance(1, 40);
      const owners = new Owners(pit, dice);
      for (let step = 0; step < 900; step++) {
        const choice = dice.int(100);
        const notes = pit.exchange.notes();
        const tickets = () => pit.exchange.save().tickets.map(({ id }) => id);
        const { batch } = pit.exchange;
        if (choice < 14) owners.credit();
        else if (choice < 60) owners.order();
        else if (choice < 68) owners.amend();
        else if (choice < 71) owners.cancel();
        else if (choice < 77) owners.withdraw();
        else if (choice < 82) moveMarket(pit, dice);
        else if (choice < 83) pit.apply({ kind: 'remove', leaf: dice.pickIfAny(notes)?.leaf ?? 0 });
        else if (choice < 84) pit.retire(dice.shuffled(tickets()).slice(0, 2));
        else if (choice < 85) pit.void(dice.shuffled(tickets()).slice(0, 2));
        else if (choice < 86) pit.fail();
        else if (choice < 87) {
          const settleSeconds = dice.pick([0, 1_900, 3_600, 7_200]);
          const ordersMax = Math.max(1, settleSeconds - 1_800);
          pit.apply({ kind: 'configure', rules: { ...EXCHANGE_RULES, settleSeconds, ordersMax } });
        } else if (choice < 90) pit.at(pit.time + dice.pick([0, 1, 30, 600, 4_000, 20_000]));
        else if (choice < 92) pit.apply({ kind: 'setTime', time: pit.time - dice.int(3) });
        else if (choice < 94) pit.insertAll();
        else if (choice < 95) pit.apply({ kind: 'inserted', leaves: notes.map(({ leaf }) => leaf), states: [] });
        else if (batch === undefined)
          pit.plan({ validUntil: pit.time + 60 + dice.int(1_800), always: dice.chance(1, 9) });
        else if (batch.fills.every(({ leaves }) => leaves.every((leaf) => notes.some((note) => note.leaf === leaf)))) {
          pit.land();
        } else pit.void(batch.fills.map(({ ticket }) => ticket));

        if (step % 30 === 0) assertConsistent(pit.exchange);
        if (step % 90 === 0) pit.restart();
      }
      assertReplayed(pit);
      for (const status of statusesOf(pit)) seen.add(status);
    }
    assert.deepEqual([...seen].sort(), ['busted', 'settled', 'waiting']);
  });
});
