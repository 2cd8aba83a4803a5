import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { checkMeasurementSet, type Measurements } from '@bitcloak/attestation/policy';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { composeHash } from './appCompose.ts';
import { USER_DIRECTORY } from './tool.ts';

/** The bytes of the file that an option names. Throws `USAGE`. */
export function readInput(option: string, path: string | undefined): Buffer {
  if (path === undefined) throw new BitcloakError('USAGE', `--${option}: expected a file`);
  try {
    return readFileSync(resolve(USER_DIRECTORY, path));
  } catch (error) {
    throw new BitcloakError('USAGE', `${path} cannot be read`, { cause: error });
  }
}

/**
 * What an enclave is measured to be. Throws `USAGE` for what is no set of registers.
 *
 * @param compose the bytes of dstack's app-compose.json.
 * @param machine what `dstack-mr measure --json` says.
 */
export function measurementsOf(compose: Uint8Array, machine: string): Measurements {
  let json: unknown;
  try {
    json = JSON.parse(machine);
  } catch {
    throw new BitcloakError('USAGE', '--machine: expected JSON');
  }
  const fields = (json ?? {}) as Record<string, unknown>;
  const [mrTd = '', rtmr0 = '', rtmr1 = '', rtmr2 = ''] = ['mrtd', 'rtmr0', 'rtmr1', 'rtmr2'].map((name) => {
    const value = fields[name];
    return typeof value === 'string' ? value : '';
  });
  const measurements = { mrTd, rtmr0, rtmr1, rtmr2, composeHash: composeHash(compose) };
  checkMeasurementSet(measurements);
  return measurements;
}
