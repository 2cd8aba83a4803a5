import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dataLength, getBytes } from 'ethers';

const SNAPSHOT_FILE = fileURLToPath(new URL('../snapshots/gas.json', import.meta.url));

const TRANSACTION_GAS = 21_000n;
const ZERO_BYTE_GAS = 4n;
const NONZERO_BYTE_GAS = 16n;

function readSnapshot(): Record<string, number> {
  return existsSync(SNAPSHOT_FILE) ? (JSON.parse(readFileSync(SNAPSHOT_FILE, 'utf8')) as Record<string, number>) : {};
}

/** Compares with the number of that name in test/snapshots/gas.json, exactly. UPDATE_SNAPSHOTS=1 writes it instead. */
export function expectGas(name: string, gas: bigint): void {
  const snapshot = readSnapshot();
  const actual = Number(gas);
  if (process.env['UPDATE_SNAPSHOTS'] === '1') {
    const sorted = Object.entries({ ...snapshot, [name]: actual }).sort(([left], [right]) => (left < right ? -1 : 1));
    mkdirSync(dirname(SNAPSHOT_FILE), { recursive: true });
    writeFileSync(SNAPSHOT_FILE, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
    return;
  }
  assert.equal(
    actual,
    snapshot[name],
    `gas of ${name}: ${actual}, snapshot ${snapshot[name] ?? 'has none'}; UPDATE_SNAPSHOTS=1 writes it`,
  );
}

/**
 * What the called code used: without the price of the transaction and of its data, which changes with the number of zero bytes in a
 * proof. The floor price of data (EIP-7623) is above that only for calls that hardly execute.
 */
export function executionGas(gasUsed: bigint, data: string): bigint {
  const zeros = BigInt(getBytes(data).filter((byte) => byte === 0).length);
  return gasUsed - TRANSACTION_GAS - zeros * ZERO_BYTE_GAS - (BigInt(dataLength(data)) - zeros) * NONZERO_BYTE_GAS;
}
