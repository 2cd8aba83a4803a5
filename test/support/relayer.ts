import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PoolClient, type ProvenTransfer } from '@bitcloak/chain/pool';
import { decodeTransfer, encodeInfo, type RelayerInfo, type WireTransfer } from '@bitcloak/chain/relayWire';
import type { ShieldedAddress } from '@bitcloak/notes/address';
import { Keyring, type SpendingKey } from '@bitcloak/notes/keys';
import { OutputMaker } from '@bitcloak/notes/outputs';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';
import { buildRelayer, type RelayerOptions } from '@bitcloak/relayer/app';
import { BrowserProvider, HDNodeWallet, Network, toQuantity } from 'ethers';
import type { FastifyInstance } from 'fastify';
import type { Chain } from './chain.ts';
import { PoolBench, type TestNote } from './pool.ts';
import { seededBytes } from './random.ts';

const PHRASE = 'test test test test test test test test test test test junk';

/** An account outside the chain's own, with some coins. */
export async function fundedAccount(chain: Chain, index: number, coins = 10n ** 18n): Promise<HDNodeWallet> {
  const account = HDNodeWallet.fromPhrase(PHRASE, undefined, `m/44'/60'/7'/0/${index}`);
  await chain.provider.send('hardhat_setBalance', [account.address, toQuantity(coins)]);
  return account;
}

/** The chain behind an endpoint that can be made to fail. */
export class FaultyEndpoint extends BrowserProvider {
  /** Called before a request reaches the chain. */
  before: (method: string) => void = () => undefined;
  /** Called before an answer goes back. */
  after: (method: string) => void = () => undefined;
  /** What goes back. */
  answer: (method: string, answer: unknown, parameters: unknown) => unknown = (_method, answer) => answer;

  constructor(chain: Chain) {
    const forward = ({ method, params }: { method: string; params?: unknown[] | Record<string, unknown> }) =>
      chain.provider.send(method, params ?? []) as Promise<unknown>;
    super({ request: forward }, Network.from(31337), { cacheTimeout: -1, staticNetwork: true });
  }

  override async send(method: string, parameters: unknown[] | Record<string, unknown>): Promise<unknown> {
    this.before(method);
    const answer = (await super.send(method, parameters)) as unknown;
    this.after(method);
    return this.answer(method, answer, parameters);
  }
}

export const relayerKeys = new Keyring(seededBytes('relayer')(64));
export const FEE = { withdrawal: 1_000n, transfer: 700n };

export function addressOf({ viewing }: Keyring): ShieldedAddress {
  return { owner: viewing.main.owner, viewingKey: viewing.agreement.publicKey };
}

/** What most tests want of a relayer; fees, keys and account are always the same unless changed. */
export async function relayerOptions(bench: PoolBench, changes: Partial<RelayerOptions> = {}): Promise<RelayerOptions> {
  const endpoint = changes.endpoint ?? bench.chain.provider;
  return {
    pool: new PoolClient(bench.address, endpoint),
    endpoint,
    keyring: relayerKeys,
    account: changes.account ?? (await fundedAccount(bench.chain, 0)),
    chainId: bench.chainId,
    fees: new Map([[NATIVE_ASSET, FEE]]),
    gasMax: 1_500_000n,
    ratePerMinute: 10_000,
    pollMs: 5,
    rebroadcastMs: 50,
    ...changes,
  };
}

export async function relayerFor(bench: PoolBench, changes: Partial<RelayerOptions> = {}): Promise<FastifyInstance> {
  return buildRelayer(await relayerOptions(bench, changes));
}

/** A pool with two notes of one owner in the tree. */
export async function benchWithNotes(): Promise<{ bench: PoolBench; key: SpendingKey; notes: TestNote[] }> {
  const bench = await PoolBench.open({ seed: 'relayer' });
  const key = bench.keyring().spending;
  const notes: TestNote[] = [];
  for (const value of [100_000n, 200_000n]) notes.push(await bench.deposit(key, value));
  await bench.insertAll();
  return { bench, key, notes };
}

export const RECIPIENT = 0x1234n << 100n;

/** A withdrawal of 5,000 whose fee is what the relayer asks. */
export async function provenWithdrawal(bench: PoolBench, input: TestNote, relayer: bigint): Promise<ProvenTransfer> {
  const extData = { recipient: RECIPIENT, relayer, fee: FEE.withdrawal, ciphertext: bench.bytes(764) };
  return bench.prove({ key: input.key, inputs: [input], withdrawAmount: 5_000n, extData });
}

/** A transfer that pays the relayer with its third note; with `value`, the note holds that, whatever its ciphertext says. */
export async function provenSend(
  bench: PoolBench,
  input: TestNote,
  value: bigint = FEE.transfer,
): Promise<ProvenTransfer> {
  const maker = new OutputMaker(NATIVE_ASSET);
  const payment = maker.plain(input.note.value - value, addressOf(bench.keyring()));
  const nothing = maker.nothing();
  const fee = { ...maker.plain(FEE.transfer, addressOf(relayerKeys)), value };
  const outputs = [payment, nothing, fee];
  return bench.prove({ key: input.key, inputs: [input], outputs, extData: { ciphertext: maker.ciphertext() } });
}

type RelayerAnswer = (transfer: ProvenTransfer) => Promise<{ status: number; body: object }>;

/** Whatever the transfer. */
export const refusing: RelayerAnswer = async () => ({
  status: 503,
  body: { code: 'ENDPOINT_UNREACHABLE', message: 'try again later' },
});

/** A relayer that answers what it is told to, and keeps every transfer that it is handed. */
export class KeepingRelayer {
  readonly kept: ProvenTransfer[] = [];
  answer = refusing;
  readonly #server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (request.url === '/v1/info') return response.end(JSON.stringify(encodeInfo(this.#info)));
      const transfer = decodeTransfer(JSON.parse(Buffer.concat(chunks).toString()) as WireTransfer);
      this.kept.push(transfer);
      const { status, body } = await this.answer(transfer);
      return response.writeHead(status).end(JSON.stringify(body));
    })();
  });
  readonly #info: RelayerInfo;

  private constructor(info: RelayerInfo) {
    this.#info = info;
  }

  static async open({ chainId, pool }: Pick<RelayerInfo, 'chainId' | 'pool'>): Promise<KeepingRelayer> {
    const fees = new Map([[NATIVE_ASSET, FEE]]);
    const relayer = new KeepingRelayer({ chainId, pool, account: 0xdefn, address: addressOf(relayerKeys), fees });
    await new Promise<void>((done) => relayer.#server.listen(0, '127.0.0.1', done));
    return relayer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}
