import assert from 'node:assert/strict';
import type { OwnerKeys } from '@bitcloak/notes/keys';
import type { Nullifier } from '@bitcloak/notes/note';
import { cancelKeyOf, orderNullifierOf, type Order } from '@bitcloak/notes/order';
import { ORDER_STATES_WATCHED } from '@bitcloak/protocol/parameters';
import type { Ticket } from '../../enclave/exchange/commands.ts';
import { BATCH_SECONDS } from '../../enclave/exchange/rules.ts';
import { Cancellations, type Watched } from '../../enclave/operator/cancellations.ts';
import type { EnclaveWallet } from '../../enclave/wallet/enclaveWallet.ts';

const KEY = 5n;
const NOW = 1_800_000_000;
const UNTIL = NOW + 80_000;
const order = { owner: 1n } as Order;

describe('cancellations of orders on the chain', () => {
  let cancellations: Cancellations;
  let cancelled: Map<Nullifier, number>;
  /** Of states: each takes the nullifier key once. */
  let hashed: number;
  let wallet: EnclaveWallet;

  beforeEach(() => {
    cancellations = new Cancellations();
    // Of somebody else.
    cancelled = new Map([[1n as Nullifier, NOW]]);
    hashed = 0;
    const keys = {
      get nullifierKey() {
        hashed++;
        return KEY;
      },
    } as OwnerKeys;
    wallet = { cancelled, account: () => keys } as unknown as EnclaveWallet;
  });

  const cancel = (orderHash: bigint, k: number, from: number) =>
    cancelled.set(orderNullifierOf(cancelKeyOf(KEY, orderHash, BigInt(k))), from);
  const watched = (id: number, matched = 0, ahead = ORDER_STATES_WATCHED, k = 0n): Watched => {
    const ticket = { id, order, orderHash: BigInt(id), k, until: UNTIL } as Ticket;
    return { ticket, matched, ahead };
  };
  const news = (orders: readonly Watched[], msMax?: number) => cancellations.news(wallet, orders, NOW, msMax);

  it('take one state of an order that comes, the others when they are asked for, and none twice', async () => {
    assert.equal(cancellations.time(wallet, order, 7n, 0), undefined);
    assert.equal(hashed, 1);
    assert.deepEqual(await news([watched(7)]), []);
    assert.equal(hashed, ORDER_STATES_WATCHED);
    cancel(9n, 0, NOW);
    assert.deepEqual(await news([watched(7)]), []);
    assert.equal(hashed, ORDER_STATES_WATCHED);
    await news([watched(7, 0, ORDER_STATES_WATCHED, 1n)]);
    assert.equal(hashed, ORDER_STATES_WATCHED + 1, 'one more after a fill');
    cancelled.clear();
    await news([watched(8)]);
    assert.equal(hashed, ORDER_STATES_WATCHED + 1, 'and none where nobody cancels anything');
  });

  it('are found in every state that is asked for, and in no other', async () => {
    for (const k of [0, 3]) {
      const last = k + ORDER_STATES_WATCHED - 1;
      for (const [state, isFound] of [
        [k - 1, false],
        [k, true],
        [last, true],
        [last + 1, false],
      ] as const) {
        const id = 100 * (k + 1) + state;
        if (state >= 0) cancel(BigInt(id), state, NOW + 4_200);
        const found = await news([watched(id, 0, ORDER_STATES_WATCHED, BigInt(k))]);
        assert.equal(found.length, isFound && state >= 0 ? 1 : 0, `state ${state} after ${k} fills`);
      }
    }
  });

  it('end what has matched with the states that it may come to, and with nothing else', async () => {
    const soon = NOW + BATCH_SECONDS;
    const cases: [string, number, number, Watched, [number, number][]][] = [
      ['its state', 0, NOW - 9, watched(1, 1, 0), [[1, NOW - 9]]],
      ['a later one, which something may come to', 2, soon + 1, watched(2, 3, 0), [[2, soon + 1]]],
      ['a later one that counts already: what comes first can be settled', 2, NOW - 9, watched(3, 3, 0), []],
      ['a later one that nothing comes to', 3, soon + 1, watched(4, 3, 0), []],
      ['but it matches no more then', 3, soon + 1, watched(5, 3), [[5, UNTIL + 1]]],
      ['nor after its end', 0, UNTIL + 1, watched(6, 1, 0), []],
    ];
    for (const [title, state, from, orders, expected] of cases) {
      cancel(orders.ticket.orderHash, state, from);
      assert.deepEqual(await news([orders]), expected, title);
    }
  });

  it('are looked for beside other work, for so long at a time, until all orders were looked at', async () => {
    const orders = Array.from({ length: 300 }, (_, id) => watched(id));
    cancel(299n, 5, NOW + 4_200);
    let served = 0;
    let isOver = false;
    const serve = () => {
      served++;
      if (!isOver) setImmediate(serve);
    };
    setImmediate(serve);
    const times: number[] = [];
    let found: [number, number][] = [];
    for (let rounds = 0; found.length === 0; rounds++) {
      assert.ok(rounds < 1_000);
      const started = performance.now();
      found = await news(orders, 20);
      times.push(performance.now() - started);
    }
    isOver = true;
    assert.deepEqual(found, [[299, UNTIL + 1]]);
    assert.equal(hashed, 300 * ORDER_STATES_WATCHED, 'each once');
    assert.ok(times.length > 2, `${times.length} times`);
    assert.ok(served > 20, `${served} served meanwhile`);
    assert.deepEqual(await news(orders.slice(0, 299), 20), []);
  });

  it('keep what was computed of orders that are done with only for as long as it is less than that of the others', async () => {
    const orders = Array.from({ length: 4 }, (_, id) => watched(id));
    await news(orders);
    for (const [kept, isForgotten] of [
      [2, false],
      [1, true],
    ] as const) {
      hashed = 0;
      cancellations.forget(orders.slice(0, kept).map(({ ticket }) => ticket));
      for (const { ticket } of orders) cancellations.time(wallet, order, ticket.orderHash, 0);
      assert.equal(hashed, isForgotten ? orders.length - kept : 0);
    }
  });
});
