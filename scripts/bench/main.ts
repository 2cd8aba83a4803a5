import { table } from '@bitcloak/cli/output';
import { parseOptions, UsageError, type OptionTable, type Run } from './benchmark.ts';
import { describeCommit, describeMachine } from './machine.ts';

type Entry = {
  readonly summary: string;
  readonly options: OptionTable;
  /** Loaded when it runs: help and mistakes are answered without proofs and chains. */
  readonly load: () => Promise<{ run: Run }>;
};

const BENCHMARKS: Readonly<Record<string, Entry>> = {
  attest: {
    summary: "verifications of a TDX enclave's evidence per second, with and without collateral that is known",
    options: {
      quotes: { default: '200', help: 'quotes, each of another platform' },
      rounds: { default: '5', help: 'runs over all quotes, the ways taking turns' },
    },
    load: () => import('./attest.ts'),
  },
  channel: {
    summary: 'sealed orders per second through the enclave, what the seal adds to a request, and what a session costs',
    options: {
      orders: { default: '10000', help: 'orders of the measurement, after a tenth as many that only warm up' },
      accounts: { default: '64', help: 'trading accounts' },
      requests: { default: '2000', help: 'requests with and without a seal, taking turns' },
    },
    load: () => import('./channel.ts'),
  },
  circuits: {
    summary: 'constraints, public signals, wires, terms, domain and headroom of every circuit',
    options: {},
    load: () => import('./circuits.ts'),
  },
  engine: {
    summary: 'operations per second of the matching engine on a shallow and on a deep book, on one thread',
    options: {
      operations: {
        default: '1000000',
        help: 'operations on each book: 70% passive orders, 20% cancellations, 10% aggressive orders',
      },
      rounds: { default: '5', help: 'runs on each book, the books taking turns' },
      hash: { default: '1000', help: "the state's hash is asked for after so many operations" },
      peer: {
        default: '',
        help: 'directory in which nodejs-order-book is installed, to be measured with the same operations',
      },
    },
    load: () => import('./engine.ts'),
  },
  gas: {
    summary:
      'deposit, transfer, withdrawal and insertion in the real pool with real proofs, on a chain inside this process',
    options: {},
    load: () => import('./gas.ts'),
  },
  orders: {
    summary:
      "signed orders per second through the enclave's API and journal, and how soon a trade is told to both its owners",
    options: {
      orders: { default: '10000', help: 'orders of the measurement, after a tenth as many that only warm up' },
      accounts: { default: '64', help: 'trading accounts' },
      rate: { default: '500', help: 'orders per second while the latency is measured' },
      seconds: { default: '20', help: 'seconds of that' },
    },
    load: () => import('./orders.ts'),
  },
  prove: {
    summary: 'witness, proof and verification with every prover that is there, in a fresh process and warm',
    options: {
      rounds: { default: '7', help: 'warm proofs of each circuit, the provers taking turns' },
      cold: { default: '3', help: 'proofs of each circuit in a process of their own' },
      threads: { default: '1', help: 'of each proof; snarkjs takes all cores in any case' },
      engines: { default: '', help: 'names with commas between, such as avx2,snarkjs, where not all that are there' },
      circuits: { default: '', help: 'names with commas between, where not all' },
      peer: {
        default: '',
        help: 'directory with peer.r1cs, peer.wasm, peer.zkey, peer.vkey.json and input.json of one more circuit',
      },
      rapidsnark: { default: '', help: "path of rapidsnark's prover, to be measured too" },
    },
    load: () => import('./prove.ts'),
  },
  recover: {
    summary: 'commands per second that a restarted operator replays from its journal, and a start from a snapshot',
    options: {
      commands: { default: '50000', help: 'commands in the journal' },
      rounds: { default: '3', help: 'starts of each kind' },
    },
    load: () => import('./recover.ts'),
  },
  scan: {
    summary:
      'notes per second of a wallet that is restored: decoding events, trial decryption and the fold, on one thread',
    options: {
      notes: { default: '20000', help: 'notes of each history' },
      rounds: { default: '5', help: 'readings of each history, the histories taking turns' },
      own: {
        default: '100',
        help: 'one call in so many is of the wallet itself, in the histories with notes of its own',
      },
    },
    load: () => import('./scan.ts'),
  },
  settle: {
    summary: 'gas of a fill in settlements of 2, 8 and 16, and fills proven per second of one core',
    options: {},
    load: () => import('./settle.ts'),
  },
  tree: {
    summary: 'leaves per second when the tree is built again, from all leaves and from the roots of the buckets',
    options: {
      leaves: { default: '1000000', help: 'leaves of the tree' },
      processes: { default: '2', help: 'processes that share the full rebuild' },
      naive: { default: '2000', help: 'leaves inserted one by one for comparison' },
    },
    load: () => import('./tree.ts'),
  },
};

function usage(): string {
  const rows = Object.entries(BENCHMARKS).flatMap(([name, { summary, options }]) => [
    [name, summary],
    ...Object.entries(options).map(([option, { default: value, help }]) => [
      `  --${option}`,
      value === '' ? help : `${help} (${value})`,
    ]),
  ]);
  const list = table([{ title: 'name' }, { title: 'what it measures' }], rows);
  return `npm run bench -- NAME [--json] [options]

${list}

--json prints one JSON object on standard output; progress always goes to standard error.
Examples:
  npm run bench -- circuits
  npm run --silent bench -- prove --rounds 7 --json > prove.json`;
}

async function bench(words: readonly string[]): Promise<void> {
  const [name, ...rest] = words;
  if (name === undefined || rest.includes('--help') || name === '--help') {
    console.log(usage());
    return;
  }
  const entry = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined;
  if (entry === undefined) throw new UsageError(`there is no benchmark ${name}`);
  const { options, json } = parseOptions(rest, entry.options);
  const { run } = await entry.load();
  const [commit, machine] = [describeCommit(), describeMachine()];
  const { parameters, results, text } = await run(options, (line) => process.stderr.write(`${line}\n`));
  if (json) {
    console.log(JSON.stringify({ name, commit, machine, parameters, results }));
    return;
  }
  const { cpu, cores, memory, node, platform } = machine;
  const gibibytes = (memory / 2 ** 30).toFixed(0);
  console.log(`${name} at ${commit}\n${cpu}, ${cores} cores, ${gibibytes} GiB, Node ${node}, ${platform}`);
  console.log(`parameters: ${JSON.stringify(parameters)}\n\n${text}`);
}

try {
  await bench(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`${error.message}\n\n${usage()}`);
  process.exitCode = 2;
}
