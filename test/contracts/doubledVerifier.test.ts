import assert from 'node:assert/strict';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { CIRCUITS, FIELD_MODULUS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import { id, isError, type BaseContract, type Contract } from 'ethers';
import { DoubledProver, placeholderProof, statementOf } from '../support/doubledProver.ts';
import { openChain } from '../support/chain.ts';
import { PoolBench } from '../support/pool.ts';
import { proofCounts } from '../support/proofCounts.ts';

type Claim = { circuit: number; proof: bigint[]; signals: bigint[] };

const BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583n;
const numberOf = (circuit: Circuit) => CIRCUITS.indexOf(circuit);
const claimOf = (circuit: Circuit, signals: readonly bigint[]): Claim => {
  return { circuit: numberOf(circuit), proof: placeholderProof(circuit, signals), signals: [...signals] };
};

/** 'true', 'false' or the custom error with its values. */
async function outcome(contract: BaseContract, claims: readonly Claim[]): Promise<string> {
  try {
    return String(await contract.getFunction('verify').staticCall(claims));
  } catch (error) {
    if (!isError(error, 'CALL_EXCEPTION') || error.revert === null) throw error;
    return `${error.revert.name}(${[...(error.revert.args as Iterable<bigint>)].join(', ')})`;
  }
}

describe('the double of the verifier', () => {
  const prover = new DoubledProver();
  let bench: PoolBench;
  let transfer: Claim;
  let insertion: Claim;
  let transferInput: Awaited<ReturnType<PoolBench['plan']>>['input'];

  before(async () => {
    bench = await PoolBench.open({ seed: 'double', verifier: (chain) => prover.deploy(chain) });
    const { spending: key } = bench.keyring();
    const note = await bench.deposit(key, 1_000n);
    await bench.closeBucket();
    const { input } = await bench.insertion();
    insertion = claimOf('insertion', (await prover.prove('insertion', input)).signals);
    await bench.insert(prover);
    transferInput = (await bench.plan({ key, inputs: [note], withdrawAmount: 400n })).input;
    transfer = claimOf('transfer', (await prover.prove('transfer', transferInput)).signals);
  });
  after(() => bench.close());

  it('accepts what has a witness, alone and together', async () => {
    for (const claims of [[transfer], [insertion], [transfer, insertion], [transfer, transfer]]) {
      assert.equal(await outcome(prover.verifier, claims), 'true');
    }
  });

  it('names the signals as the circuits do', () => {
    const values: Record<string, unknown> = transferInput;
    assert.deepEqual(
      transfer.signals,
      PUBLIC_SIGNALS.transfer.map((name) => values[name]),
    );
  });

  it('refuses the same proof with any other signal, alone and beside true claims', async () => {
    for (const claim of [transfer, insertion]) {
      for (const [index, signal] of claim.signals.entries()) {
        const signals = claim.signals.with(index, (signal + 1n) % FIELD_MODULUS);
        const bad = { ...claim, signals };
        assert.equal(await outcome(prover.verifier, [bad]), 'false');
        const claims = claim === transfer ? [transfer, bad, insertion] : [transfer, bad];
        assert.equal(await outcome(prover.verifier, claims), 'false');
      }
    }
  });

  it('refuses a statement that was never proven, though anybody can compute its placeholder', async () => {
    for (const circuit of CIRCUITS) {
      const signals = PUBLIC_SIGNALS[circuit].map(() => bench.element());
      assert.equal(await outcome(prover.verifier, [claimOf(circuit, signals)]), 'false');
    }
  });

  it('refuses the proof of another circuit, and that of another statement', async () => {
    const longer = [...transfer.signals, 0n, 0n];
    assert.equal(
      await outcome(prover.verifier, [{ ...transfer, circuit: numberOf('insertion'), signals: longer }]),
      'false',
    );
    assert.equal(await outcome(prover.verifier, [{ ...transfer, proof: insertion.proof }]), 'false');
  });

  it('refuses a proof with any other word', async () => {
    for (const [index, word] of transfer.proof.entries()) {
      assert.equal(
        await outcome(prover.verifier, [{ ...transfer, proof: transfer.proof.with(index, word ^ 1n) }]),
        'false',
      );
      const outside = { ...transfer, proof: transfer.proof.with(index, BASE_MODULUS) };
      assert.equal(await outcome(prover.verifier, [outside]), 'PrecompileFailed(8)');
    }
  });

  it('registers nothing for which there is no witness', async () => {
    const { message, root, challenge } = transferInput;
    for (const change of [
      { evaluation: 1n },
      { message: message + 1n },
      { root: root + 1n },
      { challenge: challenge + 1n },
    ]) {
      const input = { ...transferInput, ...change };
      const before = proofCounts.doubled;
      await assert.rejects(
        prover.prove('transfer', input),
        (error) => error instanceof BitcloakError && error.code === 'STATEMENT_FALSE',
      );
      assert.equal(proofCounts.doubled, before);
      const signals = [input.root, input.message, input.challenge, input.evaluation];
      assert.equal(await outcome(prover.verifier, [claimOf('transfer', signals)]), 'false');
    }
  });

  it('takes registrations from nobody else', async () => {
    const signals = PUBLIC_SIGNALS.transfer.map(() => bench.element());
    const stranger = prover.verifier.connect(bench.chain.signer(3)) as Contract;
    await assert.rejects(
      stranger.getFunction('register').staticCall(statementOf('transfer', signals)),
      (error) => isError(error, 'CALL_EXCEPTION') && error.revert?.name === 'NotRegistrar',
    );
  });

  it('refuses what is malformed as the verifier does', async () => {
    const verifier = await bench.chain.deploy('Verifier');
    const [short, long] = [transfer.signals.slice(1), [...transfer.signals, 0n]];
    const malformed: Record<string, Claim[]> = {
      'NoClaims()': [],
      [`UnknownCircuit(${CIRCUITS.length})`]: [{ ...transfer, circuit: CIRCUITS.length }],
      'UnknownCircuit(255)': [{ ...transfer, circuit: 255 }],
      'ClaimsOutOfOrder(1, 1, 0)': [insertion, transfer],
      'WrongSignalCount(0, 4, 3)': [{ ...transfer, signals: short }],
      'WrongSignalCount(0, 4, 5)': [{ ...transfer, signals: long }],
      'WrongSignalCount(0, 6, 4)': [{ ...transfer, circuit: numberOf('insertion') }],
    };
    for (const [position, signal] of transfer.signals.entries()) {
      const alias = signal + FIELD_MODULUS;
      malformed[`SignalNotInField(0, ${position}, ${alias})`] = [
        { ...transfer, signals: transfer.signals.with(position, alias) },
      ];
    }
    for (const [expected, claims] of Object.entries(malformed)) {
      assert.equal(await outcome(prover.verifier, claims), expected);
      assert.equal(await outcome(verifier, claims), expected);
    }
  });

  it('cannot be deployed to a chain that is not one for development', async () => {
    const chain = await openChain({ chainId: 1 });
    try {
      const selector = id('DevelopmentKey(uint256)').slice(0, 10);
      await assert.rejects(
        new DoubledProver().deploy(chain),
        (error) => isError(error, 'CALL_EXCEPTION') && error.data?.startsWith(selector) === true,
      );
    } finally {
      await chain.close();
    }
  });
});
