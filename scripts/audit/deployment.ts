import { formatAccount, type Manifest } from '@bitcloak/chain/manifest';
import { Contract, type Provider } from 'ethers';
import { readArtifact, type ContractName } from '../deploy/contracts.ts';

/** A contract on the chain, and what it has to be. */
export type Finding = {
  /** Undefined where the code is none of those that may stand there. */
  readonly name: ContractName | undefined;
  /** What the one before needs it for. */
  readonly role: string;
  readonly address: string;
  /** What its constructor or its governance gave it, by the names of its functions. */
  readonly settings: Readonly<Record<string, string>>;
};

const QUOTE_VERIFIERS = ['AttestorQuoteVerifier', 'DcapQuoteVerifier', 'DevelopmentQuoteVerifier'] as const;

/**
 * Compares what is deployed with the build of this checkout, from the manifest's pool on through every contract that another asks. Immutable values are
 * left out of the comparison and told instead.
 */
export async function auditDeployment(manifest: Manifest, provider: Provider): Promise<Finding[]> {
  const findings: Finding[] = [];
  const visit = async (role: string, address: string, names: readonly ContractName[], ask: readonly string[]) => {
    const code = await provider.getCode(address);
    const name = names.find((candidate) => isBuildOf(candidate, code));
    const settings: Record<string, string> = {};
    if (name !== undefined) {
      const contract = new Contract(address, readArtifact(name).abi, provider);
      const known = ask.filter((method) => contract.interface.hasFunction(method));
      for (const method of known) settings[method] = String(await contract.getFunction(method).staticCall());
    }
    findings.push({ role, name, address, settings });
    return settings;
  };
  const poolAsks = ['POSEIDON', 'VERIFIER', 'REGISTRY', 'TIMELOCK', 'guardian', 'BUCKET_AGE'];
  const pool = await visit('pool', formatAccount(manifest.pool), ['Pool'], poolAsks);
  const next = async (
    from: Readonly<Record<string, string>>,
    field: string,
    names: readonly ContractName[],
    ask: readonly string[] = [],
  ): Promise<Record<string, string>> => {
    const address = from[field];
    return address === undefined ? {} : visit(field, address, names, ask);
  };
  await next(pool, 'POSEIDON', ['Poseidon3']);
  await next(pool, 'VERIFIER', ['Verifier']);
  await next(pool, 'TIMELOCK', ['TimelockController'], ['getMinDelay']);
  const registry = await next(pool, 'REGISTRY', ['Registry'], ['TIMELOCK', 'quoteVerifier']);
  const quoteVerifier = await next(registry, 'quoteVerifier', QUOTE_VERIFIERS, [
    'MEASUREMENTS',
    'THRESHOLD',
    'DCAP',
    'STATUSES',
    'VALID_SECONDS',
    'GAS',
  ]);
  await next(quoteVerifier, 'MEASUREMENTS', ['Measurements'], ['GOVERNOR', 'GUARDIAN']);
  return findings;
}

/** The deployed code, wherever its immutable values do not stand. */
export function isBuildOf(name: ContractName, code: string): boolean {
  const { deployedBytecode, immutableReferences } = readArtifact(name);
  if (code.length !== deployedBytecode.length || code.length <= 2) return false;
  const [actual, built] = [code, deployedBytecode].map((hex) => {
    const bytes = Buffer.from(hex.slice(2), 'hex');
    for (const { start, length } of Object.values(immutableReferences).flat()) bytes.fill(0, start, start + length);
    return bytes;
  }) as [Buffer, Buffer];
  return actual.equals(built);
}

/** Unix seconds from which on the contract Measurements allows a measurement; 0 for one that it does not know. */
export async function allowedFrom(
  findings: readonly Finding[],
  provider: Provider,
  measurement: string,
): Promise<number> {
  const found = findings.find(({ name }) => name === 'Measurements');
  if (found === undefined) return 0;
  const contract = new Contract(found.address, readArtifact('Measurements').abi, provider);
  return Number(await contract.getFunction('allowedFrom').staticCall(measurement));
}

/** Prints what an audit finds. @returns whether all is as it is built here, and every one of the measurements is allowed. */
export async function reportAudit(
  manifest: Manifest,
  provider: Provider,
  measurements: readonly string[],
): Promise<boolean> {
  const findings = await auditDeployment(manifest, provider);
  for (const { role, name, address, settings } of findings) {
    console.log(`${role} ${address}: ${name === undefined ? 'NOT the code of this checkout' : `${name}, as built`}`);
    for (const [field, value] of Object.entries(settings)) console.log(`  ${field} ${value}`);
  }
  let holds = findings.every(({ name }) => name !== undefined);
  const registry = findings[0]?.settings['REGISTRY'];
  if (registry === undefined || BigInt(registry) !== manifest.registry) {
    console.log('the registry of the manifest is NOT the one that the pool asks');
    holds = false;
  }
  // The contract compares with its chain's time, which is not quite the clock's.
  const now = (await provider.getBlock('latest'))?.timestamp ?? 0;
  for (const measurement of measurements) {
    const from = await allowedFrom(findings, provider, measurement);
    const since = `allowed from ${new Date(from * 1000).toISOString()} on`;
    console.log(`measurement ${measurement}: ${from === 0 ? 'NOT known' : since}`);
    holds &&= from !== 0 && from <= now;
  }
  return holds;
}
