import type { Collateral } from '@bitcloak/attestation/collateral';
import { platformOfQuote } from '@bitcloak/attestation/collateralSource';

/** Brings the collateral of a quote. What it brings is signed, so it is not believed but verified. */
export type Collaterals = (quote: Uint8Array) => Promise<Collateral>;

/** What was fetched for a look does for what is to be signed until the next. */
const FRESH_MS_MAX = 1_800_000;
/** A source that fails takes its time for that: it is not asked again before this. */
const RETRY_MS = 60_000;
/** Kinds of platform. Those that are asked for have certificates of the vendor, which has made fewer. */
const PLATFORMS_MAX = 64;

type Asked = { readonly answer: Promise<Collateral>; readonly at: number; readonly msMax: () => number };

/** Collateral of the attestor's own, which nobody who shows evidence can choose; one for each kind of platform, and asked for anew after half an hour. */
export class FreshCollateral {
  readonly #collaterals: Collaterals;
  readonly #now: () => number;
  readonly #asked = new Map<string, Asked>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(collaterals: Collaterals, now: () => number = () => performance.now()) {
    this.#collaterals = collaterals;
    this.#now = now;
  }

  /** Everything is asked for anew from now on. */
  forget(): void {
    this.#asked.clear();
  }

  /** Throws `COLLATERAL_UNREACHABLE`, and whatever the source throws. @param quote of a platform whose certificates were checked before. */
  of(quote: Uint8Array): Promise<Collateral> {
    const { fmspc, authority } = platformOfQuote(quote);
    const platform = `${fmspc} ${authority}`;
    const known = this.#asked.get(platform);
    if (known !== undefined && this.#now() - known.at < known.msMax()) return known.answer;
    const answer = this.#collaterals(quote);
    let msMax = FRESH_MS_MAX;
    answer.catch(() => {
      msMax = RETRY_MS;
    });
    const oldest = this.#asked.size < PLATFORMS_MAX ? undefined : this.#asked.keys().next().value;
    this.#asked.delete(known === undefined ? (oldest ?? platform) : platform);
    this.#asked.set(platform, { answer, at: this.#now(), msMax: () => msMax });
    return answer;
  }
}
