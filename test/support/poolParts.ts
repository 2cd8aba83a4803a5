// What a run stands on: a chain whose clock is the run's, a pool whose verifier is the double, tokens that the actors have, and operators.
import { POOL_ABI, REGISTRY_ABI, VERIFIER_ABI } from '@bitcloak/chain/generated/abi';
import type { PoolEvent } from '@bitcloak/chain/events';
import type { ProvenSettlement } from '@bitcloak/chain/settlement';
import type { Keyring } from '@bitcloak/notes/keys';
import { Contract, Interface, MaxUint256, type InterfaceAbi, type Wallet } from 'ethers';
import { deployContract } from '../../scripts/deploy/contracts.ts';
import { readArtifact, type Chain } from './chain.ts';
import { DoubledProver } from './doubledProver.ts';
import { PoolBench } from './pool.ts';
import type { ModelSettlement } from './poolModel.ts';

/** Far from the time of any machine, so that the blocks' times are the run's alone. */
const START_TIME = 4_000_000_000n;
export const FIRST_ACTOR_SIGNER = 3;
export const ACTORS = 4;
/** What each actor has of each token: enough for any number of the largest deposits. */
const TOKENS_EACH = 2n ** 160n;

/** A settlement signer, from its registration on. */
export type EraSigner = { readonly wallet: Wallet; readonly expiry: bigint; isRevoked: boolean };

export type Operator = {
  /** In the registry. */
  readonly number: number;
  readonly id: bigint;
  /** The account that registers its eras. */
  readonly admin: string;
  /** Gets what settlements leave over. */
  readonly treasury: Keyring;
  /** One for each era, in their order. */
  readonly signers: EraSigner[];
};

/** A settlement with its proofs, and what it does once the pool takes it. */
export type ReadySettlement = {
  readonly operator: Operator;
  readonly settlement: ProvenSettlement;
  readonly effect: ModelSettlement;
};

/** What an event tells to be spent, at once or later. */
export function nullifiersOf(event: PoolEvent): readonly bigint[] {
  if (event.kind === 'transferred') return event.nullifiers;
  if (event.kind === 'cancelled') return [event.orderNullifier];
  if (event.kind !== 'settled') return [];
  return event.fills.flatMap(({ nullifiers, orderNullifier }) => [...nullifiers, orderNullifier]);
}

/** Gives the next block its time. */
export async function tick(chain: Chain, clock: { time: bigint }): Promise<void> {
  clock.time += 1n;
  await chain.setNextTime(clock.time);
}

export async function openParts(seed: string) {
  const clock = { time: START_TIME };
  let chain: Chain | undefined;
  const prover = new DoubledProver(async () => {
    if (chain !== undefined) await tick(chain, clock);
  });
  const bench = await PoolBench.open({
    seed,
    verifier: (opened) => {
      chain = opened;
      return prover.deploy(opened);
    },
  });
  const pool = bench.contract().target;
  const timelockAbi = (await readArtifact('TimelockController')).abi;
  const tokenAbi = (await readArtifact('DevelopmentToken')).abi;
  const tokens: Contract[] = [];
  for (const _ of ['first', 'second']) {
    const token = (await deployContract(bench.chain.signer(), 'DevelopmentToken')) as Contract;
    for (let index = 0; index < ACTORS; index++) {
      const signer = bench.chain.signer(FIRST_ACTOR_SIGNER + index);
      await (await token.getFunction('mint').send(signer.address, TOKENS_EACH)).wait();
      await (await (token.connect(signer) as Contract).getFunction('approve').send(pool, MaxUint256)).wait();
    }
    tokens.push(token);
  }
  const timelock = new Contract(bench.timelock, timelockAbi, bench.chain.signer());
  const fragments = [POOL_ABI, REGISTRY_ABI, VERIFIER_ABI, timelockAbi, tokenAbi].flatMap((abi: InterfaceAbi) =>
    new Interface(abi).fragments.filter(({ type }) => type === 'error'),
  );
  const firstBlock = Number(await bench.chain.provider.send('eth_blockNumber', [])) + 1;
  return { bench, prover, clock, tokens, timelock, errors: new Interface(fragments), firstBlock };
}
