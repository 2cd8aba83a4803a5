import { BitcloakError } from '@bitcloak/protocol/errors';
import { CIRCUITS, PUBLIC_SIGNALS, type Circuit } from '@bitcloak/protocol/parameters';
import type { Proof, Prover } from '@bitcloak/prover/proof';
import type { CircuitInput } from '@bitcloak/prover/witness';
import { AbiCoder, keccak256, type Contract } from 'ethers';
import type { Chain, Deployable } from './chain.ts';
import { compiledCircuit } from './circuit.ts';
import { countDoubled } from './proofCounts.ts';
import { compile } from './solidity.ts';

const PROOF_WORDS = 8;
/** A signer that tests hardly use, so that registering a statement disturbs nobody's nonce. */
const REGISTRAR_SIGNER = 19;

const coder = AbiCoder.defaultAbiCoder();
let compiled: Deployable | undefined;

/** What the double registers: keccak of a circuit and its public signals. */
export function statementOf(circuit: Circuit, signals: readonly bigint[]): string {
  return keccak256(coder.encode(['uint256', 'uint256[]'], [CIRCUITS.indexOf(circuit), signals]));
}

/** The only proof that a statement has with the double. Whether it is accepted depends on the statement's being registered. */
export function placeholderProof(circuit: Circuit, signals: readonly bigint[]): bigint[] {
  const statement = statementOf(circuit, signals);
  return Array.from({ length: PROOF_WORDS }, (_, position) => {
    return BigInt(keccak256(coder.encode(['bytes32', 'uint256'], [statement, position]))) >> 8n;
  });
}

/**
 * The one double that tests have for a proof. It computes the witness with the circuit's own generator, checks it against the compiled
 * constraints and lets a verifier of its own accept the statement: everything of a proof but its cryptography. A statement for which no
 * witness was found is not accepted, whoever makes it.
 */
export class DoubledProver implements Prover {
  readonly #beforeBlock: () => Promise<void>;
  #verifier: Contract | undefined;

  /** @param beforeBlock is called before each block that registering mines, for those who set the time of every block. */
  constructor(beforeBlock: () => Promise<void> = async () => undefined) {
    this.#beforeBlock = beforeBlock;
  }

  /** Deploys the double's verifier, which a pool of the same chain takes in place of the real one. Returns its address. */
  async deploy(chain: Chain): Promise<string> {
    compiled ??= compile('test/contracts/doubles/DoubledVerifier.sol', 'DoubledVerifier', {});
    const counts = CIRCUITS.map((circuit) => PUBLIC_SIGNALS[circuit].length);
    this.#verifier = await chain.deploy<Contract>(compiled, [counts], chain.signer(REGISTRAR_SIGNER));
    return this.#verifier.getAddress();
  }

  get verifier(): Contract {
    if (this.#verifier === undefined) throw new Error('the double has not been deployed');
    return this.#verifier;
  }

  /** Throws `STATEMENT_FALSE` where there is no witness. */
  async prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    const { r1cs, calculate } = compiledCircuit(circuit);
    const witness = calculate(input);
    const violated = r1cs.firstViolated(witness);
    if (violated !== null) {
      throw new BitcloakError('STATEMENT_FALSE', `${circuit}: the witness violates constraint ${violated}`);
    }
    const signals = witness.slice(1, 1 + r1cs.publicSignalCount);
    await this.#beforeBlock();
    await this.verifier.getFunction('register').send(statementOf(circuit, signals), { gasLimit: 100_000 });
    countDoubled();
    return { words: placeholderProof(circuit, signals), signals };
  }
}
