import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hexOf } from '@bitcloak/attestation/bytes';
import { readTrust } from '@bitcloak/attestation/trust';
import { verifyEvidence } from '@bitcloak/attestation/verify';
import { decodeEra, decodeEvidence } from '@bitcloak/attestation/wire';
import { eraRegistration } from '@bitcloak/attestor/eraRegistration';
import type { Collateral } from '@bitcloak/attestation/collateral';
import type { Manifest } from '@bitcloak/chain/manifest';
import { sendCall } from '@bitcloak/chain/pool';
import { RegistryClient } from '@bitcloak/chain/registry';
import { operatorIdOf } from '@bitcloak/chain/settlement';
import { Keyring } from '@bitcloak/notes/keys';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { API } from '@bitcloak/trading/wire';
import { computeAddress as addressOfKey } from 'ethers';
import { startEnclave, type EnclaveReport, type EnclaveSettings, type RunningEnclave } from '../../enclave/enclave.ts';
import { Attempts } from '../../enclave/registration/attempts.ts';
import { Registrar } from '../../enclave/registration/registrar.ts';
import { EvidenceMaker } from '../../enclave/tee/evidence.ts';
import { teeKeys } from '../../enclave/tee/keys.ts';
import type { TeeProvider } from '../../enclave/tee/provider.ts';
import { DevnetAttestation } from '../../scripts/devnet/attestation.ts';
import { CLOCK, developmentAuthority } from '../support/attestation.ts';
import { openChain, type Chain } from '../support/chain.ts';
import { deployNetwork, idleEnclave } from '../support/network.ts';
import { seededBytes } from '../support/random.ts';
import { addressOf } from '../support/relayer.ts';

const OPERATOR = 1;
const ADMIN = 3;
const GAS = 5;
const DAY = 86_400n;
const HOUR = 3_600n;
const WAIT_MS = 20_000;
const RENEWAL_MS = 50;

describe('an enclave that shows what it is', function () {
  this.timeout(60_000);
  const random = seededBytes('registration');
  const directory = mkdtempSync(join(tmpdir(), 'bitcloak-registration-'));
  const treasury = new Keyring(random(64));
  let chain: Chain;
  let attestation: DevnetAttestation;
  let manifest: Manifest;
  let registry: RegistryClient;
  let settings: EnclaveSettings;
  let reports: EnclaveReport[] = [];
  const running: RunningEnclave[] = [];

  before(async () => {
    chain = await openChain();
    attestation = await DevnetAttestation.open();
    manifest = await deployNetwork(chain, { attestors: attestation.settings });
    registry = new RegistryClient(manifest.registry, chain.signer(ADMIN));
    await sendCall(chain.signer(ADMIN), registry.registerOperatorCall());
    await attestation.serve(manifest, chain.provider);
    settings = {
      ...idleEnclave(chain, manifest, GAS, join(directory, 'data')),
      keys: await teeKeys(attestation.machine, operatorIdOf(31337n, manifest.pool, manifest.registry, OPERATOR)),
      attestation: { evidence: attestation.evidence(), attestors: attestation.urls, evidenceSeconds: Number(2n * DAY) },
      treasury: addressOf(treasury),
      renewalMs: RENEWAL_MS,
      report: (report) => reports.push(report),
    };
  });
  after(async () => {
    for (const enclave of running) await enclave.close();
    await attestation.close();
    await chain.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const until = async (what: string, isSo: () => boolean | Promise<boolean>) => {
    const deadline = Date.now() + WAIT_MS;
    while (!(await isSo())) {
      assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(reports.at(-1))}`);
      await sleep(20);
    }
  };
  const start = async (changes: Partial<EnclaveSettings> = {}) => {
    const enclave = await startEnclave({ ...settings, ...changes });
    running.push(enclave);
    return enclave;
  };
  const waitingAt = async () => {
    await until('it waits', () => reports.some(({ kind }) => kind === 'waiting'));
    return reports.flatMap((report) => (report.kind === 'waiting' ? [report.url] : []))[0] ?? '';
  };
  const get = async (url: string, path: string) => {
    const response = await fetch(`${url}${path}`);
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };
  const ask = async (url: string, nonce: Uint8Array, era?: bigint) => {
    const { status, json } = await get(
      url,
      `${API}/attestation?nonce=${hexOf(nonce)}${era === undefined ? '' : `&era=${era}`}`,
    );
    assert.equal(status, 200, JSON.stringify(json));
    return { era: decodeEra(json['era']), evidence: decodeEvidence(json['evidence']) };
  };
  const code = async (url: string, path: string) => {
    const { status, json } = await get(url, path);
    return `${status} ${String(json['code'])}`;
  };
  const health = async ({ url }: RunningEnclave) => (await get(url, '/health')).status;
  const activeUntil = (number = 1n) => registry.activeUntil(OPERATOR, signerOf(number));
  const signerOf = (number: bigint) => {
    const { signer } = settings.keys.era(number);
    return BigInt(addressOfKey(signer.publicKey));
  };
  /** As the operator's administrator does it. */
  const register = async (url: string, expiry: bigint, attestors = attestation.urls) => {
    const { call, era } = await eraRegistration({
      chainId: 31337n,
      registry,
      provider: chain.provider,
      operator: OPERATOR,
      attestors,
      trust: readTrust(attestation.trust),
      ask: (nonce, number) => ask(url, nonce, number),
      expiry: (await chain.now()) + expiry,
      evidenceSeconds: 2n * DAY,
    });
    await sendCall(chain.signer(ADMIN), call);
    return era;
  };

  it('waits with its evidence and nothing else for the registry to hold its keys', async () => {
    const starting = start();
    const url = await waitingAt();
    for (const path of ['/health', `${API}/info`, `${API}/markets`]) {
      assert.equal(await code(url, path), '503 ERA_INACTIVE', path);
    }
    for (const query of [
      '',
      '?nonce=ab',
      `?nonce=${'AB'.repeat(32)}`,
      `?nonce=${'ab'.repeat(32)}&era=0`,
      `?nonce=${'ab'.repeat(32)}&more=1`,
    ]) {
      assert.equal(await code(url, `${API}/attestation${query}`), '400 USAGE', query);
    }
    for (const path of ['/health', `${API}/attestation`, `${API}/attestation?nonce=${'ab'.repeat(32)}`]) {
      const { headers } = await fetch(`${url}${path}`);
      assert.equal(headers.get('access-control-allow-origin'), '*', `${path} is for pages too`);
    }
    const other = `${API}/attestation?nonce=${'ab'.repeat(32)}&era=2`;
    assert.equal(await code(url, other), '404 ERA_INACTIVE', 'nobody needs the keys after the next');
    await assert.rejects(register(url, 20n * DAY, attestation.urls.slice(0, 1)), {
      code: 'ATTESTOR_FAILED',
      message: /^1 of the 2 attestors/,
    });
    const era = await register(url, 20n * DAY);
    const enclave = await starting;
    assert.equal(era.signer, signerOf(1n));
    await until('it listens', () => reports.at(-1)?.kind === 'listening');
    assert.equal(await health(enclave), 200);
  });

  it('makes fresh evidence for whoever asks, which tells its keys and the nonce', async () => {
    const [enclave] = running as [RunningEnclave];
    const nonce = random(32);
    const { era, evidence } = await ask(enclave.url, nonce);
    assert.equal(era.number, 1n);
    const trust = readTrust(attestation.trust);
    const clock = Math.floor(Date.now() / 1000);
    const judge = async (asked: Uint8Array, binding = era) => {
      const report = await verifyEvidence(evidence, { ...trust, clock, binding, nonce: asked });
      return report.accepted ? 'accepted' : report.error.code;
    };
    assert.equal(await judge(nonce), 'accepted');
    assert.equal(await judge(random(32)), 'BINDING_REFUSED');
    assert.equal(await judge(nonce, { ...era, apiKey: random(32) }), 'BINDING_REFUSED');
    const info = await get(enclave.url, `${API}/info`);
    assert.equal(info.json['apiKey'], hexOf(era.apiKey));
    assert.equal((await ask(enclave.url, nonce, 2n)).era.signer, signerOf(2n), 'and for the era that follows');
  });

  it('does not make more of it than the machine can', async () => {
    const asked = Promise.withResolvers<undefined>();
    const slow: TeeProvider = {
      key: (path) => attestation.machine.key(path),
      quote: async (reportData) => {
        await asked.promise;
        return attestation.machine.quote(reportData);
      },
    };
    const maker = new EvidenceMaker(slow, async () => assert.fail('no quote was made'));
    const era = (await ask(running[0]?.url ?? '', random(32))).era;
    const [ended, refused]: [string[], string[]] = [[], []];
    const make = (asker = '') =>
      maker
        .evidence(() => era, random(32), asker === '' ? undefined : asker)
        .catch((error: unknown) => {
          const isRefused = error instanceof BitcloakError && error.code === 'ENCLAVE_BUSY';
          (isRefused ? refused : ended).push(asker);
        });
    const waiting = ['a', 'a', 'a', 'b', 'c', 'd', 'e', 'f'].map((asker) => make(asker));
    await make('a');
    assert.deepEqual(refused, ['a'], 'all places are taken');
    waiting.push(make('g'), make('h'));
    await waiting[1];
    assert.deepEqual(refused, ['a', 'a', 'a'], 'each has one before anybody has more');
    await make('i');
    waiting.push(make(), make());
    asked.resolve(undefined);
    await Promise.all(waiting);
    assert.deepEqual(refused.slice(3), ['i']);
    assert.deepEqual(ended, ['a', '', '', 'b', 'c', 'd', 'e', 'f', 'g', 'h'], 'its own go first');
    await assert.rejects(
      maker.evidence(() => era, random(32), 'i'),
      { name: 'AssertionError' },
      'they can ask again',
    );
    const statuses = [];
    for (let count = 0; count < 25; count++) {
      statuses.push((await fetch(`${running[0]?.url ?? ''}${API}/attestation?nonce=${'ab'.repeat(32)}`)).status);
    }
    assert.ok(statuses.includes(429), 'nor for one address');
  });

  it('asks machine and chain no more often than it makes quotes, however many ask it from however many addresses', async () => {
    let [quotes, atOnce, atOnceMax] = [0, 0, 0];
    const counting: TeeProvider = {
      key: (path) => attestation.machine.key(path),
      quote: async (reportData) => {
        [quotes, atOnce] = [quotes + 1, atOnce + 1];
        atOnceMax = Math.max(atOnceMax, atOnce);
        const quoted = await attestation.machine.quote(reportData);
        atOnce--;
        return quoted;
      },
    };
    const maker = new EvidenceMaker(counting, async () => developmentAuthority().collateral(CLOCK));
    let calls = 0;
    const counted = new Proxy(chain.provider, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...values: unknown[]) => {
          if (name === 'call') calls++;
          return Reflect.apply(value, target, values) as unknown;
        };
      },
    });
    const registrar = new Registrar({
      chainId: 31337n,
      registry: new RegistryClient(manifest.registry, counted),
      provider: counted,
      startBlock: manifest.startBlock,
      operator: OPERATOR,
      keys: settings.keys,
      attestation: { evidence: maker, attestors: [], evidenceSeconds: Number(DAY) },
    });
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, index) =>
        // Every third of them asks for an era that there is none of: no quote is made for it.
        registrar.attest(index % 3 === 0 ? 9n : undefined, random(32), `10.0.${index >> 8}.${index & 255}`).then(
          () => 'made',
          (error: unknown) => (error instanceof BitcloakError ? error.code : assert.fail(String(error))),
        ),
      ),
    );
    const count = (code: string) => outcomes.filter((outcome) => outcome === code).length;
    const [made, inactive, busy] = [count('made'), count('ERA_INACTIVE'), count('ENCLAVE_BUSY')];
    assert.deepEqual([made + inactive, busy], [8, 492], 'what waits is bounded, and the others are told at once');
    assert.deepEqual([quotes, atOnceMax], [made, 1]);
    assert.ok(calls <= 16, `${calls} calls`);
    assert.ok(made > 0 && inactive > 0 && calls > 0);
    const { era } = await registrar.attest(undefined, random(32), '10.1.0.0');
    assert.equal(era.number, 1n, 'and it goes on');
  });

  it('tells strangers nothing of whom it asks for collateral', async () => {
    const { machine } = attestation;
    const lost = async (): Promise<Collateral> => {
      throw new BitcloakError('COLLATERAL_UNREACHABLE', 'no collateral from pccs.internal/key-5/tcb: ECONNREFUSED');
    };
    await running[0]?.close();
    running.length = 0;
    const evidence = new EvidenceMaker(machine, lost);
    const enclave = await start({ attestation: { evidence, attestors: [], evidenceSeconds: Number(DAY) } });
    const { status, json } = await get(enclave.url, `${API}/attestation?nonce=${'ab'.repeat(32)}`);
    assert.deepEqual([status, json['code']], [503, 'COLLATERAL_UNREACHABLE']);
    assert.doesNotMatch(JSON.stringify(json), /pccs|key-5|tcb/);
    await enclave.close();
    running.length = 0;
    await start();
  });

  it('renews its evidence when half of its time is over, and no later than it must', async () => {
    const before = await activeUntil();
    await sleep(300);
    assert.equal(await activeUntil(), before, 'not sooner');
    await chain.setTime((await chain.now()) + DAY + HOUR);
    await until('it is renewed', async () => (await activeUntil()) > before);
    await until('it says so', () => reports.some(({ kind }) => kind === 'renewed'));
    assert.ok((await activeUntil()) >= (await chain.now()) + 2n * DAY - 60n);
  });

  it('takes on nothing that it could not settle, where nobody vouches for it any more', async () => {
    const [enclave] = running as [RunningEnclave];
    await enclave.close();
    const alone = {
      evidence: attestation.evidence(),
      attestors: attestation.urls.slice(0, 1),
      evidenceSeconds: Number(2n * DAY),
    };
    reports = [];
    const refusedAt: number[] = [];
    const report = (line: EnclaveReport) => {
      reports.push(line);
      if (line.kind === 'failed' && line.code === 'ATTESTOR_FAILED') refusedAt.push(performance.now());
    };
    const next = await start({ attestation: alone, report });
    const { machine } = next.operator;
    assert.equal(machine.state.activeUntil, Number(await activeUntil()));
    await chain.setTime((await activeUntil()) - HOUR);
    await until('it says why', () =>
      reports.some((report) => report.kind === 'failed' && report.code === 'ATTESTOR_FAILED'),
    );
    await until('it asks again', () => refusedAt.length >= 5);
    const [first = 0, , , , fifth = 0] = refusedAt;
    assert.ok(fifth - first > 14 * RENEWAL_MS, 'after one, two, four and eight looks');
    await until('it sees the time', async () => BigInt(machine.state.time) >= (await activeUntil()) - HOUR);
    assert.equal(await health(next), 200);
    const refused = await machine.execute({ kind: 'setReference', market: 1, ticks: 1, time: machine.state.time });
    assert.deepEqual(refused, [{ kind: 'refused', reason: 'eraEnding' }]);
    await chain.setTime(await activeUntil());
    await until('it is not active', async () => (await health(next)) === 503);
    assert.equal(await code(next.url, '/health'), '503 ERA_INACTIVE');
    await next.close();
    running.length = 0;
  });

  it('asks more rarely the longer it is refused, until it is too late, and at every look when it is not', async () => {
    let asked = 0;
    const refused = async () => {
      asked++;
      throw new BitcloakError('ATTESTOR_FAILED', 'refused');
    };
    /** The looks, from the first on, at which it asks. */
    const asking = async (attempts: Attempts, looks: number) => {
      const found: number[] = [];
      for (let look = 0; look < looks; look++) {
        const before = asked;
        await attempts.look(refused).catch((error: unknown) => assert.ok(error instanceof BitcloakError));
        if (asked > before) found.push(look);
      }
      return found;
    };
    const MINUTE_MS = 60_000;
    const usual = Attempts.toRenew(6 * Number(DAY), MINUTE_MS);
    assert.deepEqual(await asking(usual, 64), [0, 1, 3, 7, 15, 31, 47, 63]);
    // Three days are left from then on: it is tried until it is too late.
    assert.equal((await asking(usual, 3 * 24 * 60 - 64)).length, 266);
    let done = 0;
    const work = async () => {
      done++;
    };
    for (let look = 0; done === 0; look++) {
      assert.ok(look < 16);
      await usual.look(work);
    }
    for (let look = 0; look < 5; look++) await usual.look(work);
    assert.equal(done, 6, 'at every look');
    assert.deepEqual(await asking(usual, 8), [0, 1, 3, 7], 'and begins anew');
    const short = await asking(Attempts.toRenew(Number(HOUR), MINUTE_MS), 30);
    assert.equal(short.length, 30, 'of an hour no look can be left out');
  });

  it('comes back by itself when they vouch for it again', async () => {
    reports = [];
    const enclave = await start();
    assert.deepEqual(
      reports.filter(({ kind }) => kind !== 'failed').map(({ kind }) => kind),
      ['waiting', 'renewed', 'listening'],
    );
    assert.equal(await health(enclave), 200);
  });

  it('ends where a newer era has its keys, whose orders it could not read, and starts with that', async () => {
    const [enclave] = running as [RunningEnclave];
    await register(enclave.url, 20n * DAY);
    const failure = await enclave.ended;
    assert.equal(failure?.code, 'ERA_INACTIVE');
    running.length = 0;
    const next = await start();
    const { json } = await get(next.url, `${API}/info`);
    assert.equal(json['apiKey'], hexOf(settings.keys.era(2n).apiKey.publicKey));
  });

  it('is not active any more when its administrator revokes its keys', async () => {
    const [enclave] = running as [RunningEnclave];
    await sendCall(chain.signer(ADMIN), registry.revokeSignerCall(OPERATOR, signerOf(2n)));
    await until('it knows', async () => (await health(enclave)) === 503);
    assert.equal(enclave.operator.machine.state.activeUntil, 0);
    reports = [];
    await sleep(300);
    assert.deepEqual(reports, [], 'it does not try to renew what cannot be');
    await register(enclave.url, 20n * DAY);
    assert.equal((await enclave.ended)?.code, 'ERA_INACTIVE', 'and gives way to the era that takes its place');
    running.length = 0;
    await start();
  });

  it('is refused by its administrator where it shows keys of another operator, or another program', async () => {
    const [enclave] = running as [RunningEnclave];
    const base = {
      chainId: 31337n,
      registry,
      provider: chain.provider,
      operator: OPERATOR,
      attestors: attestation.urls,
      trust: readTrust(attestation.trust),
      ask: (nonce: Uint8Array, number: bigint) => ask(enclave.url, nonce, number),
      expiry: (await chain.now()) + DAY,
      evidenceSeconds: DAY,
    };
    await assert.rejects(
      eraRegistration({
        ...base,
        ask: async (nonce) => ({
          ...(await ask(enclave.url, nonce, 4n)),
          era: (await ask(enclave.url, nonce, 3n)).era,
        }),
      }),
      { code: 'BINDING_REFUSED' },
    );
    const { trust } = base;
    const measurements = { allowed: trust.measurements.allowed.map((set) => ({ ...set, mrTd: '00'.repeat(48) })) };
    await assert.rejects(eraRegistration({ ...base, trust: { ...trust, measurements } }), {
      code: 'MEASUREMENT_REFUSED',
    });
    await assert.rejects(
      eraRegistration({ ...base, ask: async (_nonce, number) => ask(enclave.url, random(32), number) }),
      {
        code: 'BINDING_REFUSED',
      },
    );
  });
});
