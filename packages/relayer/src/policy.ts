import { isField } from '@bitcloak/crypto/field';
import { openSlots } from '@bitcloak/crypto/noteEncryption';
import { gasLimitFor } from '@bitcloak/chain/gas';
import { formatAccount } from '@bitcloak/chain/manifest';
import { callError, type Call, type PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import type { RelayFee } from '@bitcloak/chain/relayWire';
import type { Keyring } from '@bitcloak/notes/keys';
import { decodeMessage } from '@bitcloak/notes/message';
import { blindingFrom, commitmentOf, type Note } from '@bitcloak/notes/note';
import {
  AMOUNT_MAX,
  SLOTS_PER_NOTE,
  TIME_MAX,
  TRANSFER_CIPHERTEXT_BYTES,
  TRANSFER_OUTPUTS,
} from '@bitcloak/protocol/parameters';
import type { JsonRpcApiProvider } from 'ethers';
import { Refusal } from './refusal.ts';

export type PolicyOptions = {
  /** With a provider; nothing is sent through it. */
  readonly pool: PoolClient;
  readonly endpoint: JsonRpcApiProvider;
  /** The service's shielded keys: only the viewing half is used. */
  readonly keyring: Keyring;
  /** By asset; an asset without an entry is not relayed. */
  readonly fees: ReadonlyMap<bigint, RelayFee>;
  /** The most gas that the service pays for in one transaction. */
  readonly gasMax: bigint;
};

/** A transfer that passed every check: what to send. */
export type Admitted = { readonly call: Call; readonly gasLimit: bigint; readonly nullifiers: readonly bigint[] };

/** The output that pays the relayer where nothing is withdrawn. */
const FEE_OUTPUT = TRANSFER_OUTPUTS - 1;

/**
 * Decides what the service pays gas for, from cheap checks to dear ones. It trusts nothing that it is handed: the pool would refuse all the same, but
 * refusing there costs the service its gas.
 */
export class Policy {
  readonly #options: PolicyOptions;
  readonly #account: bigint;

  /** @param account gets the public fee of withdrawals; an address below 2^160. */
  constructor(options: PolicyOptions, account: bigint) {
    this.#options = options;
    this.#account = account;
  }

  /**
   * The fee of a withdrawal is public, so it is checked at once. A fee note is opened only when the simulation has shown the transfer to be whole
   * and unspent, that is, to come from its owner: the answer depends on what this key reads, so before that anybody could put a ciphertext from the chain
   * into a transfer of his own making and be told what it holds.
   */
  async admit(transfer: ProvenTransfer): Promise<Admitted> {
    checkForm(transfer, this.#options.pool.address);
    const withdraws = transfer.shown.withdrawAmount !== 0n;
    if (withdraws) this.#checkPublicFee(transfer);
    await this.#checkState(transfer);
    const call = this.#options.pool.transferCall(transfer);
    const gasLimit = await this.#simulate(call);
    if (!withdraws) this.#checkNoteFee(transfer);
    return { call, gasLimit, nullifiers: transfer.shown.nullifiers };
  }

  #checkPublicFee({ shown, extData }: ProvenTransfer): void {
    const quote = this.#quote(shown.publicAsset).withdrawal;
    requireFee(quote, extData.relayer === this.#account ? extData.fee : 0n, shown.publicAsset);
  }

  #checkNoteFee(transfer: ProvenTransfer): void {
    const note = this.#feeNote(transfer);
    if (note === undefined) {
      const message = `fee: expected output ${FEE_OUTPUT} to be a note to the relayer that its ciphertext opens`;
      throw new Refusal(422, 'FEE_INSUFFICIENT', message);
    }
    requireFee(this.#quote(note.asset).transfer, note.value, note.asset);
  }

  /** The third note, where it belongs to the service and the service can spend it. */
  #feeNote({ shown, extData }: ProvenTransfer): Note | undefined {
    const { main, agreement } = this.#options.keyring.viewing;
    for (const { slot, plaintext, secret } of openSlots(agreement, extData.ciphertext)) {
      if (Math.floor(slot / SLOTS_PER_NOTE) !== FEE_OUTPUT) continue;
      const message = decodeMessage(plaintext);
      if (message?.kind !== 'received') continue;
      const { asset, value } = message;
      const note = { asset, value, owner: main.owner, blinding: blindingFrom(secret), lock: undefined };
      if (commitmentOf(note) === shown.commitments[FEE_OUTPUT]) return note;
    }
    return undefined;
  }

  #quote(asset: bigint): RelayFee {
    const fee = this.#options.fees.get(asset);
    if (fee !== undefined) return fee;
    throw new Refusal(422, 'RELAYER_REFUSED', `asset: the relayer has no fee for ${formatAccount(asset)}`);
  }

  /** The pool's own conditions, one by one, so that each has a message of its own. */
  async #checkState({ shown }: ProvenTransfer): Promise<void> {
    const { pool, endpoint } = this.#options;
    const time = await blockTime(endpoint);
    if (shown.validAfter > time) {
      throw new Refusal(
        422,
        'RELAYER_REFUSED',
        `validAfter: expected block time ${time} or before, got ${shown.validAfter}`,
      );
    }
    const spent = await Promise.all(shown.nullifiers.map((nullifier) => pool.isSpent(nullifier)));
    if (spent.includes(true)) throw new Refusal(409, 'RELAYER_REFUSED', 'nullifiers: a note is spent already');
    if (!(await pool.isKnownRoot(shown.root))) {
      throw new Refusal(422, 'RELAYER_REFUSED', 'root: expected a root that the pool has or had');
    }
  }

  /** @returns the gas to send the call with. */
  async #simulate(call: Call): Promise<bigint> {
    const { pool, endpoint, gasMax } = this.#options;
    const from = formatAccount(this.#account);
    const failure = await pool.simulate(call, from);
    if (failure !== undefined) throw new Refusal(422, failure.code, failure.message);
    const gas = await endpoint.estimateGas({ ...call, from }).catch((error: unknown) => {
      const reason = callError(error);
      throw reason.code === 'TRANSACTION_FAILED' ? new Refusal(422, reason.code, reason.message) : reason;
    });
    if (gas > gasMax) throw new Refusal(422, 'RELAYER_REFUSED', `gas: expected at most ${gasMax}, estimated ${gas}`);
    const withMargin = gasLimitFor(gas);
    return withMargin > gasMax ? gasMax : withMargin;
  }
}

async function blockTime(endpoint: JsonRpcApiProvider): Promise<bigint> {
  const block = await endpoint.getBlock('latest').catch((error: unknown) => {
    throw callError(error);
  });
  return BigInt(block?.timestamp ?? 0);
}

function requireFee(expected: bigint, actual: bigint, asset: bigint): void {
  if (actual >= expected) return;
  const message = `fee: expected at least ${expected} base units of ${formatAccount(asset)} to the relayer, got ${actual}`;
  throw new Refusal(422, 'FEE_INSUFFICIENT', message);
}

/** What the pool refuses whatever its state: ranges, and fields that do not fit together. */
export function checkForm({ shown, extData }: ProvenTransfer, pool: bigint): void {
  const { nullifiers, commitments, withdrawAmount, publicAsset, validAfter } = shown;
  const expect = (holds: boolean, field: string, expected: string) => {
    if (!holds) throw new Refusal(400, 'USAGE', `${field}: expected ${expected}`);
  };
  const withdraws = withdrawAmount !== 0n;
  expect(isField(shown.root), 'root', 'a field element');
  expect(isField(shown.message), 'message', 'a field element');
  expect(nullifiers.every(isField), 'nullifiers', 'field elements');
  expect(new Set(nullifiers).size === nullifiers.length, 'nullifiers', 'two different ones');
  expect(commitments.every(isField), 'commitments', 'field elements');
  expect(withdrawAmount <= AMOUNT_MAX, 'withdrawAmount', 'an amount below 2^120');
  expect(validAfter <= TIME_MAX, 'validAfter', 'unix seconds below 2^40');
  expect(extData.ciphertext.length === TRANSFER_CIPHERTEXT_BYTES, 'ciphertext', `${TRANSFER_CIPHERTEXT_BYTES} bytes`);
  expect((publicAsset !== 0n) === withdraws, 'publicAsset', '0 exactly where nothing is withdrawn');
  expect(extData.fee <= withdrawAmount, 'fee', 'at most withdrawAmount');
  expect((extData.recipient !== 0n) === withdraws, 'recipient', '0 exactly where nothing is withdrawn');
  expect((extData.relayer !== 0n) === (extData.fee !== 0n), 'relayer', '0 exactly where the fee is 0');
  expect(
    extData.recipient !== pool && extData.relayer !== pool,
    'recipient and relayer',
    'an address other than the pool',
  );
}
