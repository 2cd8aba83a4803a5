import { Follower } from '@bitcloak/chain/follower';
import type { PoolClient } from '@bitcloak/chain/pool';
import { verify } from '@bitcloak/crypto/eddsa';
import type { AgreementKey } from '@bitcloak/crypto/x25519';
import { orderHashOf, orderStateOf } from '@bitcloak/notes/order';
import { LOCK_SECONDS_MAX, SETTLEMENT_HORIZON_SECONDS } from '@bitcloak/protocol/parameters';
import type { Provider } from 'ethers';
import { ORDER_FILLS_MAX, type ExchangeEvent, type OrderRequest } from '../exchange/exchange.ts';
import { EnclaveWallet, type EnclaveSnapshot } from '../wallet/enclaveWallet.ts';
import type { Machine } from './machine.ts';
import type { Sent, Settler } from './settler.ts';
import { catchUp } from './watcher.ts';

/** Ends of batches stand on this grid, so that they tell nothing of when a batch was planned. */
const VALID_UNTIL_GRID_SECONDS = 60;
const VALID_SECONDS = Number(SETTLEMENT_HORIZON_SECONDS) / 2;

export type OperatorOptions = {
  readonly machine: Machine;
  readonly settler: Settler;
  readonly pool: PoolClient;
  readonly provider: Provider;
  readonly startBlock: number;
  readonly confirmations: number;
  readonly operator: number;
  readonly operatorId: bigint;
  readonly eraKeys: readonly AgreementKey[];
};

/** What one round did. */
export type Round = {
  /** Unix seconds of the block that the operator stands at. */
  readonly time: number;
  readonly sent: Sent | undefined;
};

/** The operator at work: follows the chain, keeps the exchange in step with it, and settles. */
export class Operator {
  readonly #options: OperatorOptions;
  readonly #follower: Follower<EnclaveSnapshot, EnclaveWallet>;

  /** As it was at the end of the last round. */
  #wallet: EnclaveWallet | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    const { operator, operatorId, eraKeys } = options;
    this.#follower = new Follower({
      pool: options.pool,
      provider: options.provider,
      startBlock: options.startBlock,
      confirmations: options.confirmations,
      create: (snapshot?: EnclaveSnapshot) => new EnclaveWallet({ operator, operatorId, eraKeys }, snapshot),
    });
  }

  /**
   * One round: reads the chain, credits and removes notes, and where matches wait and no batch is on its way, plans one and sends it. Matching never
   * waits for it.
   */
  async round(): Promise<Round> {
    const { machine, settler } = this.#options;
    const { wallet, time } = await this.watch();
    if (machine.state.batch === undefined && machine.state.waiting > 0) {
      const validUntil = Math.floor(time / VALID_UNTIL_GRID_SECONDS) * VALID_UNTIL_GRID_SECONDS + VALID_SECONDS;
      await machine.execute({ kind: 'plan', validUntil });
    }
    const { batch } = machine.state;
    // Who sends waits for the receipt: what has not landed was never sent, failed, or was taken away by a reorganisation.
    if (batch === undefined || (await settler.hasLanded(batch, wallet))) return { time, sent: undefined };
    return { time, sent: await settler.settle(batch, wallet, machine.head) };
  }

  /** The first half of a round: reads the chain, and keeps the exchange in step with it. Before the first one no order is let in. */
  async watch(): Promise<{ wallet: EnclaveWallet; time: number }> {
    const { fold: wallet, head } = await this.#follower.advance();
    this.#wallet = wallet;
    await this.#catchUp(wallet, head.timestamp);
    return { wallet, time: head.timestamp };
  }

  /**
   * Lets an order in. Its signature is the one that its proofs will need, so it is checked before anybody can rely on the order; and an order of
   * which its owner has cancelled a state that it may come to would bind him only for as long as he likes.
   */
  async submit(request: OrderRequest): Promise<ExchangeEvent[]> {
    const { order, signature } = request;
    const wallet = this.#wallet;
    const keys = wallet?.account(order.owner);
    if (wallet === undefined || keys === undefined) return [{ kind: 'refused', reason: 'ownerUnknown' }];
    if (wallet.isCancelled(order, 0n, ORDER_FILLS_MAX)) return [{ kind: 'refused', reason: 'orderCancelled' }];
    if (!verify(keys.publicKey, orderHashOf(order), signature))
      return [{ kind: 'refused', reason: 'signatureInvalid' }];
    return this.#options.machine.execute({ kind: 'order', ...request });
  }

  async #catchUp(wallet: EnclaveWallet, time: number): Promise<void> {
    const { machine } = this.#options;
    const { batch } = machine.state;
    const rules = { lockSecondsMax: Number(LOCK_SECONDS_MAX) };
    for (;;) {
      const commands = catchUp(machine.state, wallet, time, rules);
      for (const command of commands) await machine.execute(command);
      // What is settled has states to wait for, and they may be in the tree already.
      if (!commands.some(({ kind }) => kind === 'settled')) break;
    }
    if (batch === undefined || machine.state.batch === batch) return;
    for (const { order, sold, filled, k } of batch.fills) {
      const orderHash = orderHashOf(order);
      // The state before is spent where there is one after.
      if (wallet.hasState(orderStateOf(orderHash, filled + sold, k + 1n))) {
        wallet.forgetState(orderStateOf(orderHash, filled, k));
      }
    }
  }
}
