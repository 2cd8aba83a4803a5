import { extDataHash, type ExtData } from '@bitcloak/notes/extData';
import type { InsertionInput } from '@bitcloak/notes/insertion';
import type { TransferPublic } from '@bitcloak/notes/transfer';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import {
  Contract,
  Interface,
  isCallException,
  isError,
  type ErrorDescription,
  type Provider,
  type Signer,
  type TransactionReceipt,
} from 'ethers';
import { failureText } from './endpoint.ts';
import { decodeEvent, POOL_TOPICS, type PoolEvent } from './events.ts';
import { POOL_ABI, REGISTRY_ABI, VERIFIER_ABI } from './generated/abi.ts';
import { formatAccount } from './manifest.ts';
import { receiptOf, sendRaising, sendReplacing, type Raising } from './replacement.ts';
import { batchArgument, type ProvenSettlement } from './settlement.ts';

const poolInterface = new Interface(POOL_ABI);
/** Length of `0x` and the four bytes that name an error. */
const SELECTOR_HEX = 10;
/** The verifier's errors come through the pool; the registry's are told the same way. */
const errorInterfaces = [poolInterface, new Interface(VERIFIER_ABI), new Interface(REGISTRY_ABI)];

/** The pool's queue of leaves. Times are unix seconds of block time. */
export type Queue = {
  readonly openBucket: number;
  readonly openLeaves: number;
  readonly openedAt: bigint;
  readonly nextInsertion: number;
  readonly depositsPaused: boolean;
};

/** A proven transfer, ready for the pool. */
export type ProvenTransfer = {
  readonly proof: readonly bigint[];
  /** `message` is the hash that the owner signed. */
  readonly shown: Omit<TransferPublic, 'extDataHash'> & { readonly message: bigint };
  readonly extData: ExtData;
};

/** What a call asks for beside its arguments. */
export type Call = { readonly to: string; readonly data: string; readonly value: bigint };

/** How a call is sent. */
export type Sending =
  /**
   * By a service, from an account that nobody else sends from: in the place of whatever it has waiting, for more than that. After `msMax` it throws
   * `ENDPOINT_UNREACHABLE`, and the call may still land; who gives up waiting sends again.
   */
  | { readonly msMax: number }
  /** By a wallet: after whatever its account has waiting, and for more when the chain asks more than it pays. One version lands at most. */
  | Raising;

/** A typed client of the pool. Reading needs a provider, sending a signer. */
export class PoolClient {
  readonly address: bigint;
  readonly #contract: Contract;

  constructor(address: bigint, runner: Provider | Signer) {
    this.address = address;
    this.#contract = new Contract(formatAccount(address), poolInterface, runner);
  }

  /** @param block a block's number; the newest one where it is left out. */
  async queue(block?: number): Promise<Queue> {
    const queue = (await this.#read('queue', { blockTag: block ?? 'latest' })) as {
      openBucket: bigint;
      openLeaves: bigint;
      openedAt: bigint;
      nextInsertion: bigint;
      depositsPaused: boolean;
    };
    return {
      openBucket: Number(queue.openBucket),
      openLeaves: Number(queue.openLeaves),
      openedAt: queue.openedAt,
      nextInsertion: Number(queue.nextInsertion),
      depositsPaused: queue.depositsPaused,
    };
  }

  /** @param block a block's number; the newest one where it is left out. */
  async currentRoot(block?: number): Promise<bigint> {
    return (await this.#read('currentRoot', { blockTag: block ?? 'latest' })) as bigint;
  }

  async isKnownRoot(root: bigint): Promise<boolean> {
    return (await this.#read('isKnownRoot', root)) as boolean;
  }

  async isSpent(nullifier: bigint): Promise<boolean> {
    return (await this.#read('isSpent', nullifier)) as boolean;
  }

  /** Seconds that a bucket is open before anybody may close it. */
  async bucketAge(): Promise<bigint> {
    return (await this.#read('BUCKET_AGE')) as bigint;
  }

  /** Unix seconds from which a nullifier counts as spent; 0 for never, in the future while an order is being cancelled. */
  async spentFrom(nullifier: bigint): Promise<bigint> {
    return (await this.#read('spentFrom', nullifier)) as bigint;
  }

  /** Number of the operator's last settlement; 0 before the first. */
  async lastSequence(operator: number): Promise<bigint> {
    return (await this.#read('lastSequence', operator)) as bigint;
  }

  depositCall(asset: bigint, amount: bigint, stealth: bigint, ciphertext: Uint8Array): Call {
    const value = asset === NATIVE_ASSET ? amount : 0n;
    return this.#call('deposit', [formatAccount(asset), amount, stealth, ciphertext], value);
  }

  transferCall({ proof, shown, extData }: ProvenTransfer): Call {
    const { root, message, nullifiers, commitments, withdrawAmount, publicAsset, validAfter } = shown;
    return this.#call('transfer', [
      [proof, root, message, nullifiers, commitments, withdrawAmount, formatAccount(publicAsset), validAfter],
      [formatAccount(extData.recipient), formatAccount(extData.relayer), extData.fee, extData.ciphertext],
    ]);
  }

  /** @param signature by an active signer of the operator, of `settlementDigest`. */
  settleCall(settlement: ProvenSettlement, signature: string): Call {
    return this.#call('settle', [batchArgument(settlement), signature]);
  }

  /** Takes back states of orders without their operator. */
  cancelCall(cancelKeys: readonly bigint[]): Call {
    return this.#call('cancel', [cancelKeys]);
  }

  closeCall(): Call {
    return this.#call('close', []);
  }

  /** @param leaves the bucket's real leaves. */
  insertCall(bucket: number, leaves: readonly bigint[], input: InsertionInput, proof: readonly bigint[]): Call {
    return this.#call('insert', [bucket, leaves, input.newRoot, input.bucketRoot, proof]);
  }

  /** Sends a call and waits for its receipt. Throws `TRANSACTION_FAILED`, naming the pool's own error where there is one. */
  async send(call: Call, sending?: Sending): Promise<TransactionReceipt> {
    return sendCall(this.#contract.runner as Signer, call, sending);
  }

  /** Gas that a call of the signer's would use now. Throws what `send` would. */
  async estimateGas(call: Call): Promise<bigint> {
    try {
      return await (this.#contract.runner as Signer).estimateGas(call);
    } catch (error) {
      throw callError(error);
    }
  }

  /** Whether a call would succeed now; else the error that `send` would throw. */
  async simulate(call: Call, from?: string): Promise<BitcloakError | undefined> {
    const provider = this.#provider();
    try {
      await provider.call({ ...call, ...(from === undefined ? {} : { from }) });
      return undefined;
    } catch (error) {
      const failure = callError(error);
      if (failure.code !== 'TRANSACTION_FAILED') throw failure;
      return failure;
    }
  }

  /** The pool's events of some blocks, both ends included, in their order. Throws what the endpoint says where the range is too wide for it. */
  async events(fromBlock: number, toBlock: number): Promise<PoolEvent[]> {
    const provider = this.#provider();
    const address = formatAccount(this.address);
    const logs = await provider.getLogs({ address, topics: [[...POOL_TOPICS]], fromBlock, toBlock });
    const events: PoolEvent[] = [];
    for (const log of logs) {
      // An endpoint may answer with anything: what was not asked for is not the pool's.
      const asked = log.blockNumber >= fromBlock && log.blockNumber <= toBlock && !log.removed;
      if (!asked || log.address.toLowerCase() !== address.toLowerCase()) continue;
      const event = decodeEvent(log);
      if (event !== undefined) events.push(event);
    }
    return events.sort((left, right) => left.block - right.block || left.logIndex - right.logIndex);
  }

  /** The hash that the owner of a transfer signs for what it carries. */
  extDataHash(chainId: bigint, extData: ExtData): bigint {
    return extDataHash(chainId, this.address, extData);
  }

  #provider(): Provider {
    const provider = this.#contract.runner?.provider;
    if (provider == null) throw new BitcloakError('USAGE', 'a client of the pool needs a provider');
    return provider;
  }

  #call(method: string, values: readonly unknown[], value = 0n): Call {
    return { to: formatAccount(this.address), data: poolInterface.encodeFunctionData(method, values), value };
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    try {
      return (await this.#contract.getFunction(method).staticCall(...values)) as unknown;
    } catch (error) {
      throw callError(error);
    }
  }
}

/** Sends a call from a signer and waits for its receipt. Throws `TRANSACTION_REPLACED` where the account has used its number for something else. */
export async function sendCall(signer: Signer, call: Call, sending: Sending = {}): Promise<TransactionReceipt> {
  try {
    if (!('msMax' in sending)) return await sendRaising(signer, call, sending);
    return await receiptOf(await sendReplacing(signer, call), sending.msMax);
  } catch (error) {
    const { code, message } = callError(error);
    // Nodes refuse in words of their own also what they have, or have mined.
    const open = code === 'ENDPOINT_UNREACHABLE' ? '; what was sent may land all the same' : '';
    throw new BitcloakError(code, `${message}${open}`);
  }
}

/** Puts an error of ethers into one of ours: the pool's custom errors by name and values, which are public, and nothing of the endpoint's address. */
export function callError(error: unknown): BitcloakError {
  if (error instanceof BitcloakError) return error;
  if (isCallException(error)) {
    const { data } = error;
    // A revert may come without data, which ethers does not parse.
    const named = data != null && data.length >= SELECTOR_HEX;
    const reverted = named
      ? errorInterfaces.reduce<ErrorDescription | null>((found, known) => found ?? known.parseError(data), null)
      : null;
    const reason = reverted === null ? (error.reason ?? 'it reverts without a known reason') : describe(reverted);
    return new BitcloakError('TRANSACTION_FAILED', `the chain refuses the call: ${reason}`);
  }
  const message = error instanceof Error ? error.message : '';
  // Endpoints say it in words of their own, of which ethers knows some.
  if (isError(error, 'INSUFFICIENT_FUNDS') || /(insufficient|enough) funds/i.test(message)) {
    return new BitcloakError('GAS_INSUFFICIENT', 'the sending account lacks native currency for value and gas');
  }
  return new BitcloakError('ENDPOINT_UNREACHABLE', `the endpoint fails: ${failureText(error)}`);
}

function describe(reverted: { name: string; args: readonly unknown[] }): string {
  return `${reverted.name}(${[...reverted.args].map(String).join(', ')})`;
}
