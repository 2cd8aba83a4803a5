import assert from 'node:assert/strict';
import { INTEL_ROOT } from '@bitcloak/attestation/anchor';
import type { EraBinding } from '@bitcloak/attestation/binding';
import { DevelopmentAuthority } from '@bitcloak/attestation/development/authority';
import type { Trust } from '@bitcloak/attestation/trust';
import { HpkeKey } from '@bitcloak/crypto/hpkeKey';
import { AgreementKey } from '@bitcloak/crypto/x25519';
import { BitcloakError } from '@bitcloak/protocol/errors';
import type { TradingClient } from '@bitcloak/trading/client';
import {
  ATTESTATION_BYTES_MAX,
  bindingOf,
  enclaveCheck,
  type EnclaveCheckOptions,
  type EraKeys,
} from '@bitcloak/trading/enclaveCheck';
import { API, encodeInfo, type OperatorInfo } from '@bitcloak/trading/wire';
import { CLOCK, DAY, type Simulation } from '../support/attestation.ts';
import { attestationOf, keysOf, operatorOf, showEvidence, simulatedTrust } from '../support/enclaveEvidence.ts';
import { FakeEnclave, plain, type Answer } from '../support/fakeEnclave.ts';

const HOUR = 3_600;
const WISH = { pair: 'ETH-DUSD', side: 'sell', price: '2000.5', quantity: '1.5' } as const;
const SIGNER = 0xabcn;
const ATTESTATION = `${API}/attestation?nonce=`;

describe('the check of an enclave', function () {
  this.timeout(60_000);
  let enclave: FakeEnclave;
  /** What the chain has. */
  let active: EraKeys[];
  let looks: bigint[];
  let clock: number;

  beforeEach(async () => {
    enclave = await FakeEnclave.open();
    enclave.takeOrders();
    enclave.replies.set(`GET ${API}/balances`, () => ({ json: { balances: [] } }));
    showEvidence(enclave, SIGNER);
    active = [keysOf(enclave, SIGNER)];
    looks = [];
    clock = CLOCK + 60;
  });
  afterEach(() => {
    enclave.close();
  });

  const options = (): EnclaveCheckOptions => ({
    trust: simulatedTrust(),
    expected: operatorOf(enclave),
    era: async (number) => {
      looks.push(number);
      return active.find((keys) => keys.number === number);
    },
    clock: () => clock,
  });
  /** @param changes what the trader has otherwise. */
  const connect = (changes: Partial<EnclaveCheckOptions> = {}): Promise<TradingClient> =>
    enclave.connect({ check: enclaveCheck({ ...options(), ...changes }) });

  const binding = (): EraBinding => bindingOf(operatorOf(enclave), keysOf(enclave, SIGNER));
  const paths = () => enclave.asked.map(({ path, isSealed }) => (isSealed ? 'sealed' : path.split('?')[0]));
  const nonces = () => enclave.asked.filter(({ path }) => path.startsWith(ATTESTATION)).map(({ path }) => path);
  const tamperAttestation = (change: (answer: Answer) => Answer) => {
    enclave.tamper = (answer, { path }) => (path.startsWith(ATTESTATION) ? change(answer) : answer);
  };
  const tamperInfo = (change: Partial<OperatorInfo>) => {
    const said = { ...enclave.info, ...change };
    enclave.tamper = (answer, { path }) => (path === `${API}/info` ? plain(200, encodeInfo(said)) : answer);
  };

  /** Asserts that a client refuses with this code, in one line, and that the enclave got nothing of an owner: no session, no order. */
  async function refuses(code: string, message: RegExp, changes: Partial<EnclaveCheckOptions> = {}): Promise<void> {
    await assert.rejects(connect(changes), (error: unknown) => {
      assert.ok(error instanceof BitcloakError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /[^\x20-\x7e…−]/, 'one line');
      return true;
    });
    assert.equal(enclave.sessions.size, 0);
    assert.deepEqual(
      paths().filter((path) => path !== `${API}/info` && path !== `${API}/attestation`),
      [],
    );
  }

  it('is passed by the measured enclave, before anything is said to it', async () => {
    const client = await connect();
    assert.deepEqual(paths(), [
      `${API}/info`,
      `${API}/attestation`,
      `${API}/markets`,
      `${API}/info`,
      `${API}/sessions`,
    ]);
    assert.equal((await client.place(WISH)).order.id, 1);
    assert.equal(paths().at(-1), 'sealed');
  });

  it('is passed by evidence whose collateral was issued while it was waited for', async () => {
    const right = enclave.attestation;
    clock = CLOCK - 1;
    enclave.attestation = (nonce) => {
      clock = CLOCK;
      return right?.(nonce) ?? {};
    };
    await connect();
  });

  it('asks with another nonce each time', async () => {
    for (const _ of [1, 2, 3]) await connect();
    assert.equal(nonces().length, 3);
    assert.equal(new Set(nonces()).size, 3);
  });

  describe('refuses somebody in the middle', () => {
    const other = (): Partial<EraBinding> => ({
      signer: 0x5555n,
      encryptionKey: new AgreementKey(new Uint8Array(32).fill(8)).publicKey,
      apiKey: new HpkeKey(new Uint8Array(32).fill(9)).publicKey,
    });

    it('who relays a right quote of another enclave, with its keys', async () => {
      enclave.attestation = (nonce) => attestationOf({ ...binding(), ...other() }, nonce);
      await refuses('BINDING_REFUSED', /about another signer, encryptionKey, apiKey than expected/);
    });

    it('who relays it and says that it is about the right keys', async () => {
      for (const field of ['signer', 'encryptionKey', 'apiKey'] as const) {
        enclave.attestation = (nonce) => {
          const { evidence } = attestationOf({ ...binding(), [field]: other()[field] }, nonce);
          return { ...attestationOf(binding(), nonce), evidence };
        };
        await refuses('BINDING_REFUSED', /^report data: it binds another/);
      }
    });

    it('who relays a right quote of another chain, registry, operator or era', async () => {
      const changes: Partial<EraBinding>[] = [{ chainId: 1n }, { registry: 9n }, { operator: 2n }, { number: 2n }];
      for (const change of changes) {
        const [field = ''] = Object.keys(change);
        enclave.attestation = (nonce) => attestationOf({ ...binding(), ...change }, nonce);
        await refuses('BINDING_REFUSED', new RegExp(`about another ${field} than expected`));
        enclave.attestation = (nonce) => {
          const { evidence } = attestationOf({ ...binding(), ...change }, nonce);
          return { ...attestationOf(binding(), nonce), evidence };
        };
        await refuses('BINDING_REFUSED', /^report data: it binds another chain, registry, operator, era/);
      }
    });

    it('who has recorded evidence for another nonce', async () => {
      await connect();
      enclave.sessions.clear();
      enclave.asked.length = 0;
      const recorded = attestationOf(binding(), new Uint8Array(32).fill(7));
      enclave.attestation = () => recorded;
      await refuses('BINDING_REFUSED', /^report data: it binds another .* or nonce$/);
    });

    it('who replays what the same client was shown before', async () => {
      let recorded: Answer | undefined;
      tamperAttestation((answer) => (recorded ??= answer));
      const check = enclaveCheck(options());
      const client = await enclave.connect({ check });
      enclave.sessions.clear();
      clock += HOUR;
      await assert.rejects(client.balances(), { code: 'BINDING_REFUSED' });
      assert.equal(enclave.sessions.size, 0);
    });

    it('who swaps a key in what the operator says of itself', async () => {
      for (const field of ['apiKey', 'encryptionKey'] as const) {
        tamperInfo({ [field]: other()[field] as Uint8Array });
        await refuses('OPERATOR_MISMATCH', /the operator's keys are not those of the registry$/);
      }
      assert.deepEqual(nonces(), [], 'nobody is asked for evidence of other keys');
    });

    it('who swaps a key both there and in evidence of his own', async () => {
      const { encryptionKey, apiKey } = other() as EraBinding;
      tamperInfo({ encryptionKey, apiKey });
      enclave.attestation = (nonce) => attestationOf({ ...binding(), ...other() }, nonce);
      await refuses('OPERATOR_MISMATCH', /not those of the registry$/);
    });

    it('who swaps the key that the evidence is said to be about', async () => {
      const apiKey = Buffer.from(other().apiKey as Uint8Array).toString('hex');
      enclave.attestation = (nonce) => attestationOf(binding(), nonce, {}, { apiKey });
      await refuses('BINDING_REFUSED', /about another apiKey than expected/);
    });

    it('who is of another chain, pool, registry or number', async () => {
      for (const change of [{ chainId: 1n }, { pool: 9n }, { registry: 9n }, { operator: 2 }]) {
        tamperInfo(change);
        await refuses('OPERATOR_MISMATCH', /^this is another operator, or one of another chain, pool or registry$/);
      }
      assert.deepEqual(looks, []);
    });
  });

  describe('refuses an enclave', () => {
    const program: Record<string, Simulation> = {
      'of another firmware': { quote: { mrTd: new Uint8Array(48).fill(1) } },
      'of another compose file': {
        quote: { mrConfigId: Uint8Array.from({ length: 48 }, (_, index) => (index === 0 ? 1 : index < 33 ? 5 : 0)) },
      },
      'that can be looked into': { quote: { tdAttributes: Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0) } },
    };
    for (const [name, simulation] of Object.entries(program)) {
      it(name, async () => {
        showEvidence(enclave, SIGNER, simulation);
        await refuses('MEASUREMENT_REFUSED', /./);
      });
    }

    it('of a program that the trader does not allow', async () => {
      const trust: Trust = { ...simulatedTrust(), measurements: { allowed: [] } };
      await refuses('MEASUREMENT_REFUSED', /the policy allows no measurements/, { trust });
    });

    it('whose evidence is simulated, where Intel is expected', async () => {
      await refuses('EVIDENCE_UNTRUSTED', /./, { trust: { ...simulatedTrust(), anchor: INTEL_ROOT } });
    });

    it('whose evidence is simulated by somebody else', async () => {
      const authority = new DevelopmentAuthority(new Uint8Array(32).fill(1), CLOCK);
      showEvidence(enclave, SIGNER, { authority });
      await refuses('EVIDENCE_UNTRUSTED', /./);
    });

    it('whose quote was altered', async () => {
      enclave.attestation = (nonce) => {
        const { era, evidence } = attestationOf(binding(), nonce);
        // In the report data, which is signed.
        const place = 2 * (48 + 520);
        const quote = `${evidence.quote.slice(0, place)}ff${evidence.quote.slice(place + 2)}`;
        return { era, evidence: { ...evidence, quote } };
      };
      await refuses('EVIDENCE_UNTRUSTED', /quote: its signature is wrong/);
    });

    it('whose platform was overtaken', async () => {
      showEvidence(enclave, SIGNER, { collateral: { recovery: CLOCK - DAY } });
      await refuses('TCB_REFUSED', /./);
    });

    it('whose collateral has ended', async () => {
      clock = CLOCK + 40 * DAY;
      await refuses('EVIDENCE_EXPIRED', /./);
    });

    it('that the chain has no active keys of', async () => {
      active = [];
      await refuses('OPERATOR_MISMATCH', /^era 1: the registry holds no active keys of it$/);
      assert.deepEqual(nonces(), []);
    });

    it('whose settlements another signer signs by the chain', async () => {
      active = [{ ...keysOf(enclave, SIGNER), signer: 1n }];
      await refuses('BINDING_REFUSED', /another signer/);
    });

    it('where the endpoint does not answer', async () => {
      const era = () => Promise.reject(new BitcloakError('ENDPOINT_UNREACHABLE', 'the endpoint does not answer'));
      await refuses('ENDPOINT_UNREACHABLE', /./, { era });
    });
  });

  describe('refuses an answer', () => {
    it('that there is none of', async () => {
      enclave.attestation = undefined;
      await refuses('OPERATOR_REFUSED', /^no evidence of the enclave: the operator refuses: no such path$/);
      tamperAttestation(() => plain(503, { code: 'ENCLAVE_BUSY', message: 'it starts\n' }));
      await refuses('ENCLAVE_BUSY', /^no evidence of the enclave: the operator refuses: it starts\?$/);
    });

    it('that is cut off', async () => {
      enclave.tamper = (answer, { path }) => (path.startsWith(ATTESTATION) ? undefined : answer);
      await refuses('OPERATOR_UNREACHABLE', /gives no whole answer/);
    });

    it('of another form', async () => {
      const right = attestationOf(binding(), new Uint8Array(32));
      const { quote: _quote, ...rest } = right.evidence;
      const wrong: unknown[] = [
        null,
        [],
        {},
        { era: right.era },
        { evidence: right.evidence },
        { ...right, more: 1 },
        { ...right, era: { ...right.era, number: 1 } },
        { ...right, era: { ...right.era, apiKey: 'ab' } },
        { ...right, evidence: rest },
        { ...right, evidence: { ...right.evidence, quote: right.evidence.quote.slice(0, -1) } },
        { ...right, evidence: { ...right.evidence, collateral: {} } },
      ];
      for (const text of ['', 'x', '{', ...wrong.map((json) => JSON.stringify(json))]) {
        tamperAttestation((answer) => ({ ...answer, bytes: Buffer.from(text) }));
        await refuses('EVIDENCE_MALFORMED', /: /);
      }
    });

    it('that is far too long, however right its beginning is', async () => {
      const padded = (bytes: number) => {
        tamperAttestation((answer) => {
          const rest = Buffer.alloc(bytes - answer.bytes.length, ' ');
          return { ...answer, bytes: Buffer.concat([answer.bytes, rest]) };
        });
      };
      padded(ATTESTATION_BYTES_MAX + 1);
      await refuses('REPLY_FORGED', /longer than 2097152 bytes$/);
      padded(ATTESTATION_BYTES_MAX);
      await connect();
    });

    it('that sends elsewhere', async () => {
      for (const status of [301, 302, 303, 307, 308]) {
        tamperAttestation((answer) => ({ ...answer, status, headers: { location: `${enclave.url}/elsewhere` } }));
        await refuses('OPERATOR_UNREACHABLE', /sends elsewhere, which is not followed$/);
      }
    });
  });

  describe('is made again', () => {
    /** Has the client open another session. */
    const reopen = async (client: TradingClient) => {
      enclave.sessions.clear();
      await client.balances();
    };

    it('for the same keys after an hour, and of the chain for every session', async () => {
      const client = await connect();
      assert.deepEqual([nonces().length, looks.length], [1, 2]);
      clock += HOUR - 1;
      await reopen(client);
      assert.deepEqual([nonces().length, looks.length], [1, 3]);
      clock += 1;
      await reopen(client);
      assert.deepEqual([nonces().length, looks.length], [2, 4]);
      clock -= 1;
      await reopen(client);
      assert.equal(nonces().length, 3, 'where the clock goes back nobody knows how long ago it was');
    });

    it('as soon as the evidence would be refused', async () => {
      const client = await connect();
      // Collateral of the authority is valid for thirty days.
      clock = CLOCK + 30 * DAY - 60;
      await reopen(client);
      assert.equal(nonces().length, 2);
      clock += 120;
      enclave.sessions.clear();
      await assert.rejects(client.balances(), { code: 'EVIDENCE_EXPIRED' });
      assert.equal(nonces().length, 3);
    });

    it('for other keys at once', async () => {
      const client = await connect();
      const apiKey = new HpkeKey(new Uint8Array(32).fill(9));
      Object.assign(enclave, { apiKey });
      enclave.info = { ...enclave.info, era: 2n, apiKey: apiKey.publicKey };
      enclave.sessions.clear();
      await assert.rejects(client.balances(), { code: 'OPERATOR_MISMATCH' }, 'the chain does not have them yet');
      active.push(keysOf(enclave, SIGNER));
      await client.balances();
      assert.equal(nonces().length, 2);
      // The evidence of the new era does not stand for the old one.
      enclave.info = { ...enclave.info, era: 1n };
      enclave.sessions.clear();
      await assert.rejects(client.balances(), { code: 'OPERATOR_MISMATCH' });
    });

    it('and lets no order out where the chain has revoked the keys meanwhile', async () => {
      const orders = enclave.takeOrders();
      const client = await connect();
      active = [];
      enclave.sessions.clear();
      await assert.rejects(client.place(WISH));
      assert.equal(orders.size, 0);
      assert.equal(enclave.sessions.size, 0);
    });

    it('once for all who ask at the same time', async () => {
      const client = await connect();
      clock += HOUR;
      await Promise.all([1, 2, 3].map(() => reopen(client)));
      const check = enclaveCheck(options());
      await Promise.all([1, 2, 3, 4].map(() => enclave.connect({ check })));
      assert.equal(nonces().length, 3);
      enclave.attestation = undefined;
      clock += HOUR;
      const all = await Promise.allSettled([1, 2, 3].map(() => enclave.connect({ check })));
      assert.ok(all.every(({ status }) => status === 'rejected'));
    });

    it('where it failed before', async () => {
      const check = enclaveCheck(options());
      enclave.attestation = undefined;
      await assert.rejects(enclave.connect({ check }), { code: 'OPERATOR_REFUSED' });
      showEvidence(enclave, SIGNER);
      await enclave.connect({ check });
      assert.equal(nonces().length, 2);
    });
  });
});
