import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { openEndpoint, type Endpoint } from '@bitcloak/chain/endpoint';
import { connect, formatAccount, formatManifest, parseManifest } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { ServiceSettings } from '@bitcloak/service/settings';
import { writeFileWhole } from '@bitcloak/wallet/files';
import { getAddress, isAddress, Wallet } from 'ethers';
import { reportAudit } from '../audit/deployment.ts';
import { manifestIn } from '../bundle/appCompose.ts';
import { measurementsOf, readInput } from '../bundle/measurements.ts';
import { runTool, USER_DIRECTORY } from '../bundle/tool.ts';
import { readConfig } from './config.ts';
import { planNetwork } from './plan.ts';
import { runDeployment } from './run.ts';

const USAGE = `npm run deploy -- plan --config FILE --deployer ADDRESS [--nonce N] [--endpoint URL] [--output DIRECTORY]
npm run deploy -- run --config FILE --compose FILE … --machine FILE … --key FILE [--endpoint URL] [--output DIRECTORY]

Deploys a network whose addresses are known before it. The first step writes the manifest that pool and registry will have, for enclaves to be composed and
measured with; the second deploys them, with these enclaves allowed from the start, and audits what stands. Nothing is sent where the account's transactions
do not lead to the planned addresses. The same command goes on after an interruption.
  --config    JSON file: { "name", "chainId", "endpoint", "tokens": [{ "symbol", "address", "decimals" }], "guardian", "governor", "bucketAgeSeconds",
              "timelockSeconds", "attestors": [address], "threshold", "trust": { "anchor": "intel", "tcb": { … } }, "relayer"? }: chainId a text, the
              native currency first, as ${formatAccount(NATIVE_ASSET)}; trust as attestors have it, without measurements. The
              endpoint is published
  --deployer  the account that will deploy, and send nothing else until then
  --nonce     how many transactions it will have sent before; as many as now unless given
  --compose   app-compose.json of an enclave with that manifest; may be given again
  --machine   what \`dstack-mr measure --json\` says of a machine's image and size; may be given again. Each enclave is allowed on each machine
  --key       file with the deployer's private key, in hexadecimal, mode 0600
  --endpoint  another one than the config's
  --output    dist/deploy unless given. plan writes manifest.json; run writes sent.json, by which it goes on, network.json for wallets, trust.json for
              attestors and wallets`;

const ROOT = resolve(import.meta.dirname, '../..');
const COMMON = { config: { type: 'string' }, endpoint: { type: 'string' }, output: { type: 'string' } } as const;

function refuse(option: string, expected: string): never {
  throw new BitcloakError('USAGE', `--${option}: expected ${expected}`);
}

const userPath = (option: string, path: string | undefined): string =>
  path === undefined ? refuse(option, 'a file') : resolve(USER_DIRECTORY, path);

const outputPath = (directory: string | undefined, name: string): string =>
  join(resolve(USER_DIRECTORY, directory ?? join(ROOT, 'dist/deploy')), name);

async function withEndpoint(endpoint: Endpoint, work: (endpoint: Endpoint) => Promise<void>): Promise<void> {
  try {
    await work(endpoint);
  } catch (error) {
    // Those of ethers repeat a request, and the endpoint's whole address.
    throw error instanceof Error && 'shortMessage' in error ? callError(error) : error;
  } finally {
    endpoint.destroy();
  }
}

async function plan(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    options: { ...COMMON, deployer: { type: 'string' }, nonce: { type: 'string' } },
  });
  const { deployer = '', nonce } = values;
  const config = readConfig(userPath('config', values.config));
  if (!/^0x[0-9a-fA-F]{40}$/.test(deployer) || !isAddress(deployer)) refuse('deployer', 'an account');
  if (nonce !== undefined && !/^[0-9]{1,9}$/.test(nonce)) refuse('nonce', 'a whole number');
  await withEndpoint(await openEndpoint(values.endpoint ?? config.network.endpoint), async (endpoint) => {
    const number = nonce === undefined ? undefined : Number(nonce);
    const planned = await planNetwork(config, endpoint, getAddress(deployer), number);
    const text = formatManifest(planned.manifest);
    const path = outputPath(values.output, 'manifest.json');
    writeFileWhole(path, Buffer.from(text));
    console.log(text.trimEnd());
    console.log(
      `${path}: holds if ${getAddress(deployer)} deploys with its transactions from number ${planned.nonce} on`,
    );
  });
}

function readKey(path: string | undefined): Wallet {
  const key = new ServiceSettings('--', { '--key': userPath('key', path) }).privateKey('key');
  try {
    return new Wallet(key);
  } catch {
    return refuse('key', 'a private key of the curve');
  }
}

async function run(words: string[]): Promise<void> {
  const list = { type: 'string', multiple: true, default: [] as string[] } as const;
  const { values } = parseArgs({
    args: words,
    options: { ...COMMON, compose: list, machine: list, key: { type: 'string' } },
  });
  const config = readConfig(userPath('config', values.config));
  if (values.compose.length === 0) refuse('compose', 'a file');
  if (values.machine.length === 0) refuse('machine', 'a file');
  const composed = values.compose.map((path) => readInput('compose', path));
  const machines = values.machine.map((path) => readInput('machine', path).toString());
  const measured = composed.flatMap((compose) => machines.map((machine) => measurementsOf(compose, machine)));
  const [manifest, ...others] = composed.map((bytes) => parseManifest(manifestIn(bytes.toString()), '--compose'));
  if (manifest === undefined) return;
  if (others.some((other) => formatManifest(other) !== formatManifest(manifest)))
    refuse('compose', 'one manifest in all');
  const key = readKey(values.key);
  await withEndpoint(
    await connect({ ...manifest, endpoint: values.endpoint ?? manifest.endpoint }),
    async (endpoint) => {
      const startBlock = await runDeployment({
        config,
        manifest,
        measured,
        wallet: key.connect(endpoint),
        sentPath: outputPath(values.output, 'sent.json'),
        report: ({ name, address }, { blockNumber, hash }) => {
          console.log(`${name} ${address}: in block ${blockNumber} by ${hash}`);
        },
      });
      const deployed = { ...manifest, startBlock };
      writeFileWhole(outputPath(values.output, 'network.json'), Buffer.from(formatManifest(deployed)));
      writeFileWhole(
        outputPath(values.output, 'trust.json'),
        Buffer.from(`${JSON.stringify(config.trust(measured), null, 2)}\n`),
      );
      const { measurements } = config.settings(measured).attestors;
      if (!(await reportAudit(deployed, endpoint, measurements))) process.exitCode = 1;
    },
  );
}

await runTool(USAGE, async () => {
  const [step = '', ...words] = process.argv.slice(2);
  const steps = { plan, run };
  if (!Object.hasOwn(steps, step)) throw new BitcloakError('USAGE', 'expected plan or run; --help tells more');
  await steps[step as keyof typeof steps](words);
});
