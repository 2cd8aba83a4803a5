import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import type { Collateral } from '@bitcloak/attestation/collateral';
import type { Evidence } from '@bitcloak/attestation/verify';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TeeProvider } from './provider.ts';

/** Brings the collateral of a quote. What it brings is signed, so it is not believed but verified. */
export type Collaterals = (quote: Uint8Array) => Promise<Collateral>;

/** Verifiers take collateral of some weeks; within this nothing new is issued that matters. */
const COLLATERAL_MS_MAX = 3_600_000;

/** Quotes that may wait for each other: whoever asks for more than the machine makes has to come again. */
const WAITING_MAX = 16;

/** Makes an enclave's evidence: for each nonce a quote, one after another, since a machine makes but a few in a second. */
export class EvidenceMaker {
  readonly #provider: TeeProvider;
  readonly #collaterals: Collaterals;
  readonly #now: () => number;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #collateral: { readonly value: Collateral; readonly at: number } | undefined;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(provider: TeeProvider, collaterals: Collaterals, now: () => number = () => performance.now()) {
    this.#provider = provider;
    this.#collaterals = collaterals;
    this.#now = now;
  }

  /**
   * Throws `TEE_FAILED`, `COLLATERAL_UNREACHABLE`, and `ENCLAVE_BUSY` where too many wait already.
   *
   * @param nonce 32 bytes.
   */
  async evidence(binding: EraBinding, nonce: Uint8Array): Promise<Evidence> {
    if (this.#waiting >= WAITING_MAX) {
      throw new BitcloakError('ENCLAVE_BUSY', 'too many wait for evidence; try again in a minute');
    }
    this.#waiting++;
    const made = this.#last.then(() => this.#make(binding, nonce));
    this.#last = made.catch(() => undefined);
    try {
      return await made;
    } finally {
      this.#waiting--;
    }
  }

  async #make(binding: EraBinding, nonce: Uint8Array): Promise<Evidence> {
    const { quote, eventLog } = await this.#provider.quote(eraReportData(binding, nonce));
    const collateral = await this.#collateralOf(quote);
    return { quote, collateral, ...(eventLog === undefined ? {} : { eventLog }) };
  }

  async #collateralOf(quote: Uint8Array): Promise<Collateral> {
    const known = this.#collateral;
    if (known !== undefined && this.#now() - known.at < COLLATERAL_MS_MAX) return known.value;
    const value = await this.#collaterals(quote);
    this.#collateral = { value, at: this.#now() };
    return value;
  }
}
