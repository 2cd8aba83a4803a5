import { fork, type ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { BitcloakError, ERROR_EXIT_CODES, type ErrorCode } from '@bitcloak/protocol/errors';
import type { Circuit } from '@bitcloak/protocol/parameters';
import { chooseEngine, type ProverChoice } from './engines.ts';
import { PROVER_CHILD } from './places.ts';
import type { Proof, Prover } from './proof.ts';
import type { LocalProverOptions } from './prover.ts';
import type { ProofAnswer, ProofRequest } from './proverChild.ts';
import type { CircuitInput } from './witness.ts';

export type ProcessProverOptions = {
  /** Statements that are proven at once; 1 unless given. */
  readonly processes?: number;
  /** Of each process; unless given its share of the cores. */
  readonly threads?: number;
  /** Those of LocalProver unless given. */
  readonly choice?: ProverChoice;
  readonly circuitsDirectory?: string;
  /** A process that takes longer for a proof is ended; 120,000 unless given. */
  readonly proofMsMax?: number;
};

type Job = {
  readonly request: ProofRequest;
  readonly resolve: (proof: Proof) => void;
  readonly reject: (error: Error) => void;
};

type Worker = { readonly child: ChildProcess; readonly ended: Promise<void>; job: Job | undefined };

const PROOF_MS_MAX = 120_000;

/**
 * Proves in processes of its own, so that what else runs in this one is not held up. A process that ends fails the statement that it was proving with
 * `PROVER_FAILED`, and another takes its place when it is needed.
 */
export class ProcessProver implements Prover {
  readonly #options: ProcessProverOptions;
  readonly #workers = new Set<Worker>();
  #queue: Job[] = [];
  #isClosed = false;

  constructor(options: ProcessProverOptions = {}) {
    this.#options = options;
  }

  /** What the processes prove with. Throws `PROVER_UNAVAILABLE` where what was asked for is not there. */
  get engine(): string {
    return chooseEngine({ choice: this.#options.choice, threads: this.#threads }).name;
  }

  get #threads(): number {
    const { processes = 1, threads } = this.#options;
    return threads ?? Math.max(1, Math.floor(availableParallelism() / processes));
  }

  /** Identifiers of the processes that there are now. */
  get processIds(): number[] {
    return [...this.#workers].flatMap(({ child }) => child.pid ?? []);
  }

  /** Throws what LocalProver throws, and `PROVER_FAILED` where the process of the proof ended before it. */
  prove(circuit: Circuit, input: CircuitInput): Promise<Proof> {
    if (this.#isClosed) return Promise.reject(proverFailed('the prover is closed'));
    const { promise, resolve, reject } = Promise.withResolvers<Proof>();
    this.#queue.push({ request: { circuit, input }, resolve, reject });
    this.#assign();
    return promise;
  }

  /** Refuses what was not begun, and resolves when every process has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#queue.splice(0)) reject(proverFailed('the prover is closed'));
    const workers = [...this.#workers];
    for (const worker of workers) if (worker.job === undefined) release(worker);
    await Promise.all(workers.map(({ ended }) => ended));
  }

  #assign(): void {
    while (this.#queue.length > 0) {
      const worker = [...this.#workers].find(({ job }) => job === undefined) ?? this.#start();
      if (worker === undefined) return;
      const job = this.#queue.shift();
      if (job !== undefined) this.#begin(worker, job);
    }
  }

  /** Undefined where as many as may be are at work. */
  #start(): Worker | undefined {
    const { processes = 1, circuitsDirectory, choice } = this.#options;
    if (this.#workers.size >= processes) return undefined;
    const options: LocalProverOptions = { circuitsDirectory, choice, threads: this.#threads };
    const child = fork(PROVER_CHILD, [JSON.stringify(options)], {
      serialization: 'advanced',
      // What a library might print of a witness is nobody's business.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => {
        resolve();
      });
      // One that cannot be started at all has no exit. Of one that was, an error tells no end.
      child.on('error', () => {
        if (child.pid === undefined) resolve();
      });
    });
    const worker: Worker = { child, ended, job: undefined };
    this.#workers.add(worker);
    child.on('message', (answer: ProofAnswer) => {
      this.#finish(worker, answer);
    });
    void ended.then(() => {
      this.#workers.delete(worker);
      worker.job?.reject(proverFailed('the process that was proving it ended'));
      worker.job = undefined;
      this.#assign();
    });
    return worker;
  }

  #begin(worker: Worker, job: Job): void {
    const { proofMsMax = PROOF_MS_MAX } = this.#options;
    const { child } = worker;
    const late = setTimeout(() => child.kill('SIGKILL'), proofMsMax);
    const end = () => {
      clearTimeout(late);
    };
    worker.job = {
      request: job.request,
      resolve: (proof) => {
        end();
        job.resolve(proof);
      },
      reject: (error) => {
        end();
        job.reject(error);
      },
    };
    // Where it cannot be sent the process is gone, or going.
    child.send(job.request, (error) => {
      if (error !== null) child.kill('SIGKILL');
    });
  }

  #finish(worker: Worker, answer: ProofAnswer): void {
    const { job } = worker;
    worker.job = undefined;
    if (answer.kind === 'proved') job?.resolve(answer.proof);
    else job?.reject(errorOf(answer));
    if (this.#isClosed) release(worker);
    else this.#assign();
  }
}

/** Lets the process end, which may have been told before. */
function release({ child }: Worker): void {
  if (child.connected) child.disconnect();
}

function proverFailed(why: string): BitcloakError {
  return new BitcloakError('PROVER_FAILED', `no proof: ${why}`);
}

function errorOf({ code, message }: ProofAnswer & { kind: 'failed' }): Error {
  const isOurs = code !== undefined && Object.hasOwn(ERROR_EXIT_CODES, code);
  return isOurs ? new BitcloakError(code as ErrorCode, message) : proverFailed(message);
}
