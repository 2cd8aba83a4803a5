import { BitcloakError, type ErrorCode } from '@bitcloak/protocol/errors';

/** `Status` of native/interface.h. */
const STATUS_ERRORS: Readonly<Record<number, readonly [code: ErrorCode, message: string]>> = {
  1: ['KEY_REFUSED', 'proving key: expected a Groth16 key over BN254, version 1'],
  2: ['KEY_REFUSED', 'proving key: a section has another length than its header says'],
  3: ['KEY_REFUSED', 'proving key: a number is out of its range'],
  4: ['KEY_REFUSED', 'proving key: a point is not on its curve'],
  5: ['WITNESS_REFUSED', 'witness: it has another length than the proving key says'],
  6: ['WITNESS_REFUSED', 'witness: a value is no field element, or the first one is not 1'],
  7: ['WITNESS_REFUSED', "blinding: expected factors below the group's order"],
  8: ['KEY_REFUSED', 'witness program: expected one of version 1'],
  9: ['KEY_REFUSED', 'witness program: it has another length than its header says'],
  10: ['KEY_REFUSED', 'witness program: a number is out of its range, or a step needs a value that is not made before'],
  11: ['STATEMENT_FALSE', 'no witness: these inputs do not satisfy the circuit'],
};

/** Throws what a rejection of the native code means. */
export function throwStatus(error: unknown): never {
  const status = error instanceof Error && 'status' in error ? error.status : undefined;
  const known = typeof status === 'number' ? STATUS_ERRORS[status] : undefined;
  if (known !== undefined) throw new BitcloakError(...known);
  const why = error instanceof Error ? error.message : String(error);
  throw new BitcloakError('PROVER_FAILED', `no proof: ${why}`, { cause: error });
}

/** What `call` returns; throws what an error of the native code means. */
export function statusThrown<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throwStatus(error);
  }
}
