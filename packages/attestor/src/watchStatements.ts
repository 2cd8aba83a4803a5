import { setTimeout as sleep } from 'node:timers/promises';
import { formatAccount } from '@bitcloak/chain/manifest';
import type { AttestorReport } from './app.ts';
import type { Attestor } from './attestor.ts';

export type WatchOptions = {
  /** From the end of a look to the next. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly report: (line: AttestorReport) => void;
};

/** Looks again at everything that an attestor signed, at once and then at an interval, until the signal. */
export async function watchStatements(attestor: Attestor, { seconds, signal, report }: WatchOptions): Promise<void> {
  while (!signal.aborted) {
    const { withdrawn, unchecked } = await attestor.recheck(signal);
    for (const { statement, attestation, code } of withdrawn) {
      const { operator, era } = attestation;
      const signer = formatAccount(era.signer);
      report({ kind: 'withdrawn', statement, operator: `${operator}`, era: `${era.number}`, signer, code });
    }
    for (const [code, statements] of unchecked) report({ kind: 'unchecked', code, statements });
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
  }
}
