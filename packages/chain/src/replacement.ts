import { BitcloakError } from '@bitcloak/protocol/errors';
import {
  isError,
  type Provider,
  type Signer,
  type TransactionReceipt,
  type TransactionRequest,
  type TransactionResponse,
} from 'ethers';
import { gasLimitFor } from './gas.ts';
import { askedOffer, feesOf, raisedOffer, type Offer } from './offer.ts';

const POLL_MS = 250;
/** How long a transaction waits before it is looked whether it pays enough: a block or two. */
const RAISE_MS = 15_000;

export type Raising = {
  /** Told each time that more is offered. */
  readonly onRaise?: (() => void) | undefined;
  readonly raiseMs?: number;
};

/**
 * Sends a call in the place of whatever the signer's account has waiting. One that paid too little would keep all later ones waiting, and nobody else
 * sends from that account. Each time that it has to be sent again it pays an eighth more.
 *
 * Throws what ethers does; `REPLACEMENT_UNDERPRICED` where what waits pays more than four times what the chain asks.
 */
export async function sendReplacing(signer: Signer, call: TransactionRequest): Promise<TransactionResponse> {
  const [nonce, estimate, asked] = await Promise.all([
    signer.getNonce('latest'),
    signer.estimateGas(call),
    providerOf(signer).getFeeData(),
  ]);
  const gasLimit = gasLimitFor(estimate);
  for (let offer: Offer | undefined = askedOffer(asked); ;) {
    try {
      return await signer.sendTransaction({ ...call, nonce, gasLimit, ...feesOf(offer) });
    } catch (error) {
      offer = raisedOffer(offer, askedOffer(asked));
      if (!isError(error, 'REPLACEMENT_UNDERPRICED') || offer === undefined) throw error;
    }
  }
}

/**
 * Sends a call after whatever the signer's account has waiting, and waits until it is mined. While it pays less than the chain asks by then it is sent again
 * with its own number, so that one of its versions lands at most; what else the account has waiting is left alone.
 *
 * Throws what ethers does; `TRANSACTION_REPLACED` where something else has used the number.
 */
export async function sendRaising(
  signer: Signer,
  call: TransactionRequest,
  { onRaise, raiseMs = RAISE_MS }: Raising = {},
): Promise<TransactionReceipt> {
  const provider = providerOf(signer);
  const gasLimit = gasLimitFor(await signer.estimateGas(call));
  const first = await signer.sendTransaction({ ...call, gasLimit });
  const { from, nonce } = first;
  const versions = [first];
  for (let lookedAt = performance.now(); ; await pause(POLL_MS)) {
    const used = await provider.getTransactionCount(from, 'latest');
    if (used > nonce) {
      const receipt = await minedOf(provider, versions, raiseMs);
      if (receipt !== undefined) return receipt;
    }
    if (performance.now() - lookedAt < raiseMs) continue;
    lookedAt = performance.now();
    // Where another comes first, more money does not help.
    const raised = used === nonce ? await raise(signer, call, versions[0] ?? first) : undefined;
    if (raised === undefined) continue;
    versions.unshift(raised);
    onRaise?.();
  }
}

/** Waits for a transaction, or for another with its number that asks for the same. */
export async function receiptOf(sent: TransactionResponse, msMax: number): Promise<TransactionReceipt> {
  try {
    const receipt = await sent.wait(1, msMax);
    if (receipt !== null) return receipt;
  } catch (error) {
    if (!isError(error, 'TRANSACTION_REPLACED')) throw error;
    const { reason, receipt, hash } = error;
    if (reason === 'repriced') return succeeded(receipt);
    const message = `transaction ${hash} has used number ${sent.nonce} of the account ${sent.from}: what was sent with it never lands`;
    throw new BitcloakError('TRANSACTION_REPLACED', message);
  }
  throw new BitcloakError('TRANSACTION_FAILED', `transaction ${sent.hash} was dropped`);
}

/** The receipt of the version that was mined; undefined while the endpoint does not tell which, or whether it was another transaction. */
async function minedOf(
  provider: Provider,
  versions: readonly TransactionResponse[],
  msMax: number,
): Promise<TransactionReceipt | undefined> {
  for (const { hash } of versions) {
    const receipt = await provider.getTransactionReceipt(hash);
    if (receipt !== null) return succeeded(receipt);
  }
  try {
    // The first was there before any other could be mined in its place.
    return await receiptOf(versions.at(-1) as TransactionResponse, msMax);
  } catch (error) {
    if (isError(error, 'TIMEOUT')) return undefined;
    throw error;
  }
}

/** Sends a transaction again for more, where it pays less than the chain asks now; undefined where it is left as it is, or was dropped and is sent as it was. */
async function raise(
  signer: Signer,
  call: TransactionRequest,
  last: TransactionResponse,
): Promise<TransactionResponse | undefined> {
  const provider = providerOf(signer);
  const { hash, nonce, gasLimit } = last;
  const before = { most: last.maxFeePerGas ?? last.gasPrice, tip: last.maxPriorityFeePerGas ?? undefined };
  try {
    const [asked, known] = await Promise.all([provider.getFeeData(), provider.getTransaction(hash)]);
    if (known === null) {
      // It was dropped. Or its owner has put something else in its place, elsewhere, which pays more, and so it stays.
      await signer.sendTransaction({ ...call, nonce, gasLimit, ...feesOf(before) });
      return undefined;
    }
    const isEnough = before.most >= (asked.gasPrice ?? 0n) && (before.tip ?? 0n) >= (asked.maxPriorityFeePerGas ?? 0n);
    const offer = isEnough ? undefined : raisedOffer(before, askedOffer(asked));
    return offer && (await signer.sendTransaction({ ...call, nonce, gasLimit, ...feesOf(offer) }));
  } catch {
    // It was mined meanwhile, the account has no more to offer, or nothing was heard: what was sent before waits on.
    return undefined;
  }
}

function succeeded(receipt: TransactionReceipt): TransactionReceipt {
  if (receipt.status === 1) return receipt;
  throw new BitcloakError('TRANSACTION_FAILED', 'the chain refuses the call: it reverts without a known reason');
}

function providerOf({ provider }: Signer): Provider {
  if (provider === null) throw new Error('the signer has no endpoint');
  return provider;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
