import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import type { Collateral } from '@bitcloak/attestation/collateral';
import type { Evidence } from '@bitcloak/attestation/verify';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TeeProvider } from './provider.ts';

/** Brings the collateral of a quote. What it brings is signed, so it is not believed but verified. */
export type Collaterals = (quote: Uint8Array) => Promise<Collateral>;

/** Verifiers take collateral of some weeks; within this nothing new is issued that matters. */
const COLLATERAL_MS_MAX = 3_600_000;

/** A source that fails takes its time for that: it is not asked again before this. */
const RETRY_MS = 60_000;

/**
 * Quotes that may wait for each other. A machine takes up to a second for each, and clients wait ten: whoever got a place in a longer queue would be answered
 * after he had given up, and in his stead nobody.
 */
const WAITING_MAX = 8;

type Waiting = {
  readonly asker: string | undefined;
  readonly start: () => void;
  readonly refuse: (error: BitcloakError) => void;
};

const busy = () => new BitcloakError('ENCLAVE_BUSY', 'too many wait for evidence; try again in a minute');

/** Makes an enclave's evidence: for each nonce a quote, one after another, since a machine makes but a few in a second. */
export class EvidenceMaker {
  readonly #provider: TeeProvider;
  readonly #collaterals: Collaterals;
  readonly #now: () => number;
  /** The first of them is being made. */
  readonly #queue: Waiting[] = [];
  #collateral: { readonly value: Collateral; readonly at: number } | undefined;
  #failure: { readonly error: Error; readonly at: number } | undefined;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(provider: TeeProvider, collaterals: Collaterals, now: () => number = () => performance.now()) {
    this.#provider = provider;
    this.#collaterals = collaterals;
    this.#now = now;
  }

  /**
   * Throws `TEE_FAILED`, `COLLATERAL_UNREACHABLE`, `ENCLAVE_BUSY` where too many wait already, or others need the place, and what `binding` throws.
   *
   * @param binding asks the chain, so it is called when it is its turn: however many ask, the enclave's endpoint is asked no more often than quotes are made.
   * @param nonce 32 bytes.
   * @param asker the address or network that asks. Without one it is the enclave itself, which nobody keeps from renewing its evidence: it goes first.
   */
  async evidence(
    binding: () => EraBinding | Promise<EraBinding>,
    nonce: Uint8Array,
    asker?: string,
  ): Promise<{ era: EraBinding; evidence: Evidence }> {
    if (asker !== undefined) this.#makeRoom(asker);
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiting: Waiting = { asker, start: () => resolve(undefined), refuse: reject };
    const place = asker === undefined ? this.#queue.findIndex((other, at) => at > 0 && other.asker !== undefined) : -1;
    this.#queue.splice(place < 0 ? this.#queue.length : place, 0, waiting);
    if (this.#queue[0] !== waiting) await promise;
    try {
      const era = await binding();
      return { era, evidence: await this.#make(era, nonce) };
    } finally {
      this.#queue.shift();
      this.#queue[0]?.start();
    }
  }

  /** Each address has a place, and more only while nobody else needs them. */
  #makeRoom(asker: string): void {
    const isKnown = (address: string | undefined, end: number) =>
      address !== undefined && this.#queue.slice(0, end).some((other) => other.asker === address);
    if (this.#queue.filter((waiting) => waiting.asker !== undefined).length < WAITING_MAX) return;
    const needless = this.#queue.findLastIndex((waiting, at) => at > 0 && isKnown(waiting.asker, at));
    if (needless < 0 || isKnown(asker, this.#queue.length)) throw busy();
    this.#queue.splice(needless, 1)[0]?.refuse(busy());
  }

  async #make(era: EraBinding, nonce: Uint8Array): Promise<Evidence> {
    const { quote, eventLog } = await this.#provider.quote(eraReportData(era, nonce));
    const collateral = await this.#collateralOf(quote);
    return { quote, collateral, ...(eventLog === undefined ? {} : { eventLog }) };
  }

  /** What was fetched an hour ago holds for weeks: where nothing newer comes, verifiers judge whether it still does. */
  async #collateralOf(quote: Uint8Array): Promise<Collateral> {
    const [now, known, failure] = [this.#now(), this.#collateral, this.#failure];
    if (known !== undefined && now - known.at < COLLATERAL_MS_MAX) return known.value;
    if (failure !== undefined && now - failure.at < RETRY_MS) return insteadOf(failure.error, known?.value);
    try {
      const value = await this.#collaterals(quote);
      this.#collateral = { value, at: this.#now() };
      return value;
    } catch (cause) {
      const error = cause as Error;
      this.#failure = { error, at: this.#now() };
      return insteadOf(error, known?.value);
    }
  }
}

function insteadOf(error: Error, known: Collateral | undefined): Collateral {
  if (known === undefined) throw error;
  return known;
}
