// Random commands for an exchange: few owners, prices and lots, so that everything meets everything, and now and then what no client should send.
import type { Order } from '@bitcloak/notes/order';
import { ORDER_TYPES, SELF_TRADES, SIDES, TIMES_IN_FORCE } from '@bitcloak/protocol/orders';
import { AMOUNT_MAX, FIELD_MODULUS, TIME_MAX } from '@bitcloak/protocol/parameters';
import { quoteFor } from '@bitcloak/trading/market';
import type { NewOrder, NewWithdrawal, SignedOrder } from '@bitcloak/trading/orders';
import type { Dice } from './dice.ts';
import {
  ALICE,
  BOB,
  CAROL,
  COIN,
  COIN_FEE,
  DAVE,
  DOLLAR,
  EURO,
  EURO_TERMS,
  EXCHANGE_RULES,
  SETTLE_SECONDS,
  TERMS,
  type Pit,
} from './exchange.ts';

const OWNERS = [ALICE, BOB, CAROL, DAVE];
const EXTREMES = [1, 2, 1_000_000, 1_000_001, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1];
const FIELD_EXTREMES = [0n, 1n, AMOUNT_MAX - 1n, AMOUNT_MAX, AMOUNT_MAX + 1n, 1n << 160n, FIELD_MODULUS - 1n, TIME_MAX];

/** What owners do: sensible things mostly, and anything that gets past the API's schemas. */
export class Owners {
  readonly #pit: Pit;
  readonly #dice: Dice;
  /** Signed orders that were sent before. */
  readonly #sent: NewOrder[] = [];
  readonly #withdrawn: NewWithdrawal[] = [];

  constructor(pit: Pit, dice: Dice) {
    this.#pit = pit;
    this.#dice = dice;
  }

  credit(): void {
    const dice = this.#dice;
    const expiry = this.#pit.time + dice.pick([SETTLE_SECONDS, 2 * SETTLE_SECONDS, 3 * SETTLE_SECONDS, 500_000]);
    const amount = BigInt(1 + dice.int(60_000));
    const options = { expiry: expiry + dice.int(60), inserted: dice.chance(3, 4) };
    this.#pit.credit(dice.pick(OWNERS), dice.pick([COIN, DOLLAR, DOLLAR, EURO]), amount, options);
  }

  order(): void {
    const dice = this.#dice;
    const again = dice.chance(1, 20) ? dice.pickIfAny(this.#sent) : undefined;
    const wish = again ?? this.#newOrder();
    const { clientOrderId } = dice.pickIfAny(this.#sent) ?? wish;
    this.#sent.push(wish);
    this.#pit.submit(dice.chance(1, 40) ? { ...wish, clientOrderId } : wish);
  }

  amend(): void {
    const dice = this.#dice;
    const owner = dice.pick(OWNERS);
    const record = dice.pickIfAny(this.#pit.exchange.records.orders(owner).filter(({ status }) => status === 'open'));
    const order = dice.chance(1, 20) || record === undefined ? dice.int(50) : record.id;
    const price = dice.chance(1, 2) ? (record?.price ?? 100) : this.#price();
    const lots = dice.chance(1, 30) ? dice.pick(EXTREMES) : (record?.filled ?? 0) + 1 + dice.int(20);
    const terms = record?.market === EURO_TERMS.market ? EURO_TERMS : TERMS;
    const signedLots = Math.max(1, Math.min(lots, 10_000) - (record?.filled ?? 0)) + (dice.chance(1, 6) ? 1 : 0);
    const { expiry } = this.#expiry();
    const signed = this.#pit.signed(owner, record?.side ?? 'sell', price, signedLots, { expiry }, terms);
    const used: SignedOrder | undefined = dice.chance(1, 20) ? dice.pickIfAny(this.#sent) : undefined;
    const { order: renewed, signature } = used ?? signed;
    const isSigned = dice.chance(2, 3);
    this.#pit.amend(owner, order, { price, lots, ...(isSigned ? { order: this.#spoilt(renewed), signature } : {}) });
  }

  cancel(): void {
    const dice = this.#dice;
    const owner = dice.pick(OWNERS);
    if (dice.chance(1, 12)) {
      const market = dice.pick([undefined, 1, 2, 3]);
      this.#pit.apply({ kind: 'cancelAll', owner, ...(market === undefined ? {} : { market }) });
      return;
    }
    const record = dice.pickIfAny(this.#pit.exchange.records.orders(owner).filter(({ status }) => status === 'open'));
    this.#pit.apply({ kind: 'cancel', owner, order: record?.id ?? dice.int(30) });
  }

  withdraw(): void {
    const dice = this.#dice;
    const owner = dice.pick(OWNERS);
    const asset = dice.pick([COIN, DOLLAR]);
    const available = this.#pit.exchange.available(owner, asset);
    const amount = available > 0n && dice.chance(4, 5) ? dice.between(1n, available) : BigInt(dice.int(90_000));
    const relock = dice.chance(1, 2);
    const lock = { payTo: owner, relockExpiry: BigInt(this.#pit.time + 10 + dice.int(300_000)) };
    const fee = asset === COIN ? COIN_FEE : 0n;
    const fresh = this.#pit.withdrawal(owner, asset, amount, fee, { ...this.#expiry(), ...(relock ? lock : {}) });
    const wish = dice.chance(1, 15) ? (dice.pickIfAny(this.#withdrawn) ?? fresh) : fresh;
    this.#withdrawn.push(wish);
    this.#pit.apply({ kind: 'withdraw', ...wish, order: this.#spoilt(wish.order) });
  }

  #price(): number {
    return 92 + this.#dice.int(17);
  }

  #expiry(): { expiry: bigint } {
    const seconds = this.#dice.pick([SETTLE_SECONDS + 1, SETTLE_SECONDS + 40, 2 * SETTLE_SECONDS, 86_400, 400_000]);
    return { expiry: BigInt(this.#pit.time + seconds) };
  }

  #newOrder(): NewOrder {
    const dice = this.#dice;
    const owner = dice.pick(OWNERS);
    const [price, lots] = [this.#price(), 1 + dice.int(12)];
    const market = dice.pick([1, 1, 1, 2]);
    const timeInForce = dice.pick(['gtc', 'gtc', 'gtc', ...TIMES_IN_FORCE] as const);
    const rests = timeInForce === 'gtc' || timeInForce === 'gtd';
    const type = dice.chance(1, 6) ? 'pegged' : rests ? 'limit' : dice.pick(ORDER_TYPES);
    const wish = this.#pit.request(owner, dice.pick(SIDES), price, lots, {
      market,
      type,
      timeInForce,
      selfTrade: dice.pick(SELF_TRADES),
      ...(timeInForce === 'gtd' ? { expiry: this.#pit.time + 1 + dice.int(2_000) } : {}),
      ...(rests && type === 'limit' && dice.chance(1, 10) ? { postOnly: true } : {}),
      ...(rests && dice.chance(1, 6) ? { display: 1 + dice.int(lots) } : {}),
      ...(dice.chance(1, 10) ? { minimumMatch: 1 + dice.int(lots) } : {}),
      ...(timeInForce !== 'fok' && dice.chance(1, 10) ? { minimumTotal: 1 + dice.int(lots) } : {}),
    });
    return { ...wish, order: this.#spoilt(this.#signedOtherwise(wish)), ...this.#mistake() };
  }

  /** For more lots than the order has, a worse price, or proceeds that are locked again. */
  #signedOtherwise({ order, side, price, lots, market }: NewOrder): Order {
    const dice = this.#dice;
    const terms = market === EURO_TERMS.market ? EURO_TERMS : TERMS;
    const until = BigInt(this.#pit.time + 1 + dice.int(EXCHANGE_RULES.lockSecondsMax));
    const relocked = dice.chance(1, 2) ? { relockExpiry: until } : {};
    if (!dice.chance(1, 5)) return { ...order, ...this.#expiry(), ...relocked };
    const signed = BigInt(lots + dice.int(5));
    const quote = quoteFor(terms, price, Number(signed));
    const limit =
      side === 'sell'
        ? { sellMax: signed * terms.lotBase, buyMin: dice.between(0n, quote) }
        : { sellMax: quote + dice.between(0n, quote), buyMin: signed * terms.lotBase };
    return { ...order, ...this.#expiry(), ...relocked, ...limit };
  }

  #spoilt(order: Order): Order {
    const dice = this.#dice;
    if (!dice.chance(1, 25)) return order;
    const name = dice.pick(Object.keys(order) as (keyof Order)[]);
    return { ...order, [name]: dice.pick(FIELD_EXTREMES) };
  }

  #mistake(): Partial<NewOrder> {
    const dice = this.#dice;
    if (!dice.chance(1, 25)) return {};
    const names = ['market', 'price', 'lots', 'expiry', 'display', 'minimumTotal', 'minimumMatch'] as const;
    return { [dice.pick(names)]: dice.pick(EXTREMES) };
  }
}

/** References and halts, which owners have no part in. */
export function moveMarket(pit: Pit, dice: Dice): void {
  const market = dice.pick([1, 1, 2, 3]);
  if (dice.chance(1, 12)) {
    pit.apply({ kind: 'setTrading', market, trading: dice.chance(5, 6) });
    return;
  }
  const ticks = dice.chance(1, 20) ? dice.pick([0, ...EXTREMES]) : 99 + dice.int(3);
  pit.apply({ kind: 'setReference', market, ticks, time: pit.time - dice.int(2) + (dice.chance(1, 20) ? 1 : 0) });
}
