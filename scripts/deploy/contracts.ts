import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { DEVELOPMENT_CHAIN_IDS, TIMELOCK_SECONDS_MIN } from '@bitcloak/protocol/parameters';
import { ContractFactory, type BaseContract, type InterfaceAbi, type Signer } from 'ethers';

const root = resolve(import.meta.dirname, '../..');

const ARTIFACTS = {
  Poseidon3: 'contracts/generated/Poseidon3.sol',
  Verifier: 'contracts/pool/Verifier.sol',
  Pool: 'contracts/pool/Pool.sol',
  Registry: 'contracts/registry/Registry.sol',
  Measurements: 'contracts/registry/Measurements.sol',
  AttestorQuoteVerifier: 'contracts/registry/AttestorQuoteVerifier.sol',
  DcapQuoteVerifier: 'contracts/registry/DcapQuoteVerifier.sol',
  DevelopmentQuoteVerifier: 'contracts/development/DevelopmentQuoteVerifier.sol',
  DevelopmentToken: 'contracts/development/DevelopmentToken.sol',
  TimelockController: '@openzeppelin/contracts/governance/TimelockController.sol',
} as const;

export type ContractName = keyof typeof ARTIFACTS;

/** A contract as it was built. */
export type Artifact = {
  readonly abi: InterfaceAbi;
  readonly bytecode: string;
  readonly deployedBytecode: string;
  /** Where the deployed code holds values that its constructor gave it. */
  readonly immutableReferences: Readonly<
    Record<string, readonly { readonly start: number; readonly length: number }[]>
  >;
};

export function readArtifact(name: ContractName): Artifact {
  return JSON.parse(readFileSync(resolve(root, 'artifacts', ARTIFACTS[name], `${name}.json`), 'utf8')) as Artifact;
}

/** Deploys one of the project's contracts from its artifact and waits until it is there. */
export async function deployContract(
  signer: Signer,
  name: ContractName,
  parameters: readonly unknown[] = [],
): Promise<BaseContract> {
  const { abi, bytecode } = readArtifact(name);
  return (await new ContractFactory(abi, bytecode, signer).deploy(...parameters)).waitForDeployment();
}

/** Who is believed about enclaves. */
export type AttestorSettings = {
  /** Addresses. */
  readonly attestors: readonly string[];
  /** So many of them have to agree. */
  readonly threshold: number;
  /** 32 bytes in hex: allowed from the start. */
  readonly measurements: readonly string[];
};

export type PoolSettings = {
  /** Can pause deposits, and remove a program of enclaves, at once. */
  readonly guardian: string;
  /** Proposes what the timelock carries out: unpausing, another guardian. Anybody may execute what has waited long enough. */
  readonly governor: string;
  readonly bucketAgeSeconds: bigint;
  readonly timelockSeconds?: bigint;
  /** Without them, which only development chains allow, an operator's word is taken. */
  readonly attestors?: AttestorSettings;
  /** Only tests give another one than the real verifier. */
  readonly verifier?: string;
};

export type DeployedPool = {
  readonly pool: string;
  readonly registry: string;
  readonly timelock: string;
  readonly startBlock: number;
};

/** Throws `DEVELOPMENT_ONLY` where the keys lack an outside ceremony and the chain is one for value. */
export async function refuseDevelopmentKeys(signer: Signer): Promise<void> {
  const chainId = (await signer.provider?.getNetwork())?.chainId;
  const text = readFileSync(resolve(root, 'circuits/keys/ceremony.json'), 'utf8');
  const { development } = JSON.parse(text) as { development: unknown };
  const allowed = DEVELOPMENT_CHAIN_IDS.some((id) => id === chainId);
  if (development !== false && !allowed) {
    const message = `chain ${String(chainId)}: the keys in circuits/keys were made without an outside ceremony, and anybody could forge with them`;
    throw new BitcloakError('DEVELOPMENT_ONLY', message);
  }
}

async function deployQuoteVerifier(
  signer: Signer,
  governor: string,
  guardian: string,
  settings: AttestorSettings | undefined,
): Promise<string> {
  if (settings === undefined) return (await deployContract(signer, 'DevelopmentQuoteVerifier')).getAddress();
  const { attestors, threshold, measurements } = settings;
  const allowed = await deployContract(signer, 'Measurements', [governor, guardian, measurements]);
  const sorted = attestors.toSorted((left, right) => (BigInt(left) < BigInt(right) ? -1 : 1));
  return (
    await deployContract(signer, 'AttestorQuoteVerifier', [await allowed.getAddress(), sorted, threshold])
  ).getAddress();
}

/** Deploys verifier, Poseidon, timelock, registry and pool. */
export async function deployPool(signer: Signer, settings: PoolSettings): Promise<DeployedPool> {
  await refuseDevelopmentKeys(signer);
  const verifier = settings.verifier ?? (await (await deployContract(signer, 'Verifier')).getAddress());
  const poseidon = await deployContract(signer, 'Poseidon3');
  const anybody = '0x0000000000000000000000000000000000000000';
  const timelock = await deployContract(signer, 'TimelockController', [
    settings.timelockSeconds ?? TIMELOCK_SECONDS_MIN,
    [settings.governor],
    [anybody],
    // No administrator: the timelock's roles, too, change only through itself.
    anybody,
  ]);
  const timelockAddress = await timelock.getAddress();
  const quoteVerifier = await deployQuoteVerifier(signer, timelockAddress, settings.guardian, settings.attestors);
  const registry = await (await deployContract(signer, 'Registry', [timelockAddress, quoteVerifier])).getAddress();
  const parameters = [
    verifier,
    await poseidon.getAddress(),
    registry,
    timelockAddress,
    settings.guardian,
    settings.bucketAgeSeconds,
  ];
  const pool = await deployContract(signer, 'Pool', parameters);
  const receipt = await pool.deploymentTransaction()?.wait();
  if (receipt == null) throw new BitcloakError('TRANSACTION_FAILED', 'the deployment of the pool has no receipt');
  return { pool: await pool.getAddress(), registry, timelock: timelockAddress, startBlock: receipt.blockNumber };
}
