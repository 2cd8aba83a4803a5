import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { DEVELOPMENT_CHAIN_IDS, TIMELOCK_SECONDS_MIN } from '@bitcloak/protocol/parameters';
import { ContractFactory, getCreateAddress, type BaseContract, type InterfaceAbi, type Signer } from 'ethers';

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

/** A contract of a pool's: where it will stand, and what its constructor is given. */
export type Deployment = {
  readonly name: ContractName;
  readonly address: string;
  readonly parameters: readonly unknown[];
};

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

/** Throws `DEVELOPMENT_ONLY` where the chain is one for value, and an operator's word would be taken or the keys lack an outside ceremony. */
export function refuseDevelopmentParts(chainId: bigint, settings: Pick<PoolSettings, 'attestors'>): void {
  if (DEVELOPMENT_CHAIN_IDS.some((id) => id === chainId)) return;
  const refuse = (why: string): never => {
    throw new BitcloakError('DEVELOPMENT_ONLY', `chain ${chainId}: ${why}`);
  };
  if (settings.attestors === undefined) refuse("without attestors everybody's word would be taken for an enclave's");
  const text = readFileSync(resolve(root, 'circuits/keys/ceremony.json'), 'utf8');
  const { development } = JSON.parse(text) as { development: unknown };
  if (development !== false) {
    refuse('the keys in circuits/keys were made without an outside ceremony, and anybody could forge with them');
  }
}

/**
 * All that a pool is made of, in the order of deployment: one contract for each number from `nonce` on of the deployer's transactions. Every address is
 * known from here on, since it follows from deployer and number alone.
 */
export function planPool(deployer: string, nonce: number, settings: PoolSettings): Deployment[] {
  const deployments: Deployment[] = [];
  const add = (name: ContractName, parameters: readonly unknown[] = []): string => {
    const address = getCreateAddress({ from: deployer, nonce: nonce + deployments.length });
    deployments.push({ name, address, parameters });
    return address;
  };
  const { guardian, attestors: trusted } = settings;
  const verifier = settings.verifier ?? add('Verifier');
  const poseidon = add('Poseidon3');
  const anybody = '0x0000000000000000000000000000000000000000';
  const delay = settings.timelockSeconds ?? TIMELOCK_SECONDS_MIN;
  // No administrator: the timelock's roles, too, change only through itself.
  const timelock = add('TimelockController', [delay, [settings.governor], [anybody], anybody]);
  const addQuoteVerifier = (): string => {
    if (trusted === undefined) return add('DevelopmentQuoteVerifier');
    const measurements = add('Measurements', [timelock, guardian, trusted.measurements]);
    const attestors = trusted.attestors.toSorted((left, right) => (BigInt(left) < BigInt(right) ? -1 : 1));
    return add('AttestorQuoteVerifier', [measurements, attestors, trusted.threshold]);
  };
  const registry = add('Registry', [timelock, addQuoteVerifier()]);
  add('Pool', [verifier, poseidon, registry, timelock, guardian, settings.bucketAgeSeconds]);
  return deployments;
}

/** Where one of them will stand. */
export function addressIn(deployments: readonly Deployment[], name: ContractName): string {
  const found = deployments.find((deployment) => deployment.name === name);
  if (found === undefined) throw new RangeError(`${name} is not deployed`);
  return found.address;
}

/** Deploys everything that `planPool` lists. */
export async function deployPool(signer: Signer, settings: PoolSettings): Promise<DeployedPool> {
  const { provider } = signer;
  if (provider === null) throw new BitcloakError('USAGE', 'a deployer needs a provider');
  refuseDevelopmentParts((await provider.getNetwork()).chainId, settings);
  const deployments = planPool(await signer.getAddress(), await signer.getNonce('pending'), settings);
  let startBlock = 0;
  for (const { name, address, parameters } of deployments) {
    const contract = await deployContract(signer, name, parameters);
    const receipt = await contract.deploymentTransaction()?.wait();
    if (receipt?.contractAddress !== address) {
      throw new BitcloakError('TRANSACTION_FAILED', `${name} is not at ${address}: the account sent something else`);
    }
    startBlock = receipt.blockNumber;
  }
  const [pool, registry, timelock] = (['Pool', 'Registry', 'TimelockController'] as const).map((name) =>
    addressIn(deployments, name),
  ) as [string, string, string];
  return { pool, registry, timelock, startBlock };
}
