import { eraReportData, type EraBinding } from '@bitcloak/attestation/binding';
import type { Trust } from '@bitcloak/attestation/trust';
import { encodeEra, encodeEvidence, type WireEra } from '@bitcloak/attestation/wire';
import { bindingOf, type EraKeys, type ExpectedOperator } from '@bitcloak/trading/enclaveCheck';
import { simulatedEvidence, simulatedExpectations, type Simulation } from './attestation.ts';
import type { FakeEnclave } from './fakeEnclave.ts';

/** What an enclave answers that shows simulated evidence about these keys. @param said the keys that it says it is about, where they are others. */
export function attestationOf(
  era: EraBinding,
  nonce: Uint8Array,
  simulation: Simulation = {},
  said: Partial<WireEra> = {},
) {
  const quote = { reportData: eraReportData(era, nonce), ...simulation.quote };
  return { era: { ...encodeEra(era), ...said }, evidence: encodeEvidence(simulatedEvidence({ ...simulation, quote })) };
}

/** Trust in what simulated evidence shows. */
export function simulatedTrust(): Trust {
  const { anchor, tcb, measurements } = simulatedExpectations();
  return { anchor, tcb, measurements };
}

/** The same as a file has it. */
export function trustJson({ anchor, tcb, measurements }: Trust): Record<string, unknown> {
  const publicKey = Buffer.from(anchor.publicKey).toString('hex');
  return { anchor: { name: anchor.name, publicKey }, tcb, measurements: measurements.allowed };
}

/** Where the chain has the operator that a fake enclave says it is. */
export function operatorOf({ info }: FakeEnclave): ExpectedOperator {
  const { chainId, pool, registry, operator } = info;
  return { chainId, pool, registry, operator };
}

/** The keys that a fake enclave names, as the chain has them. */
export function keysOf({ info }: FakeEnclave, signer: bigint): EraKeys {
  const { era: number, encryptionKey, apiKey } = info;
  return { number, signer, encryptionKey, apiKey };
}

/** Has a fake enclave show right evidence of its keys. */
export function showEvidence(enclave: FakeEnclave, signer: bigint, simulation: Simulation = {}): void {
  enclave.attestation = (nonce) => {
    return attestationOf(bindingOf(operatorOf(enclave), keysOf(enclave, signer)), nonce, simulation);
  };
}
