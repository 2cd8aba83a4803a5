import { INTEL_PCS, type CollateralSource } from '@bitcloak/attestation/collateralSource';
import { parseManifest, type Manifest, type Token } from '@bitcloak/chain/manifest';
import { readManifest } from '@bitcloak/chain/manifestFile';
import { parseAddress, type ShieldedAddress } from '@bitcloak/notes/address';
import { SETTLEMENT_FILLS_MAX } from '@bitcloak/protocol/parameters';
import { ServiceSettings, type Environment } from '@bitcloak/service/settings';
import { checkJson } from '@bitcloak/trading/checks';
import type { ApiLimits } from './api/limits.ts';
import type { MarketSettings } from './enclave.ts';
import type { ExchangeRules } from './exchange/commands.ts';
import { areRulesValid } from './exchange/rules.ts';
import type { Cadence } from './operator/cadence.ts';
import { DSTACK_SOCKET } from './tee/dstack.ts';

/** Holds the gas key itself. Whoever reads it takes it out of the environment. */
export const GAS_KEY_VARIABLE = 'BITCLOAK_ENCLAVE_GAS_KEY';

export const HELP = `Starts an operator's enclave. It is configured by the environment; where a JSON file is asked for, the JSON itself does too:

  BITCLOAK_ENCLAVE_MANIFEST            manifest of the network, a JSON file
  BITCLOAK_ENCLAVE_DIRECTORY           for the journal; is made where it is not there
  BITCLOAK_ENCLAVE_OPERATOR            number in the registry, which holds an active era with the enclave's keys
  BITCLOAK_ENCLAVE_TEE                 where the keys are from: dstack or dstack:SOCKET for the guest agent of a dstack machine; tsm for keys that end with
                                       the process; file for those of the seed file, unless given
  BITCLOAK_ENCLAVE_SEED_FILE           32 bytes, mode 0600, that all keys are derived from: on development chains only, and with file only
  BITCLOAK_ENCLAVE_COLLATERAL          URL of a PCCS that has what verifies quotes; Intel's own service unless given
  BITCLOAK_ENCLAVE_ATTESTORS           URLs of attestors, with commas, that the registry believes; none where it takes quotes themselves
  BITCLOAK_ENCLAVE_EVIDENCE_SECONDS    that evidence is asked to hold for; 518400 unless given, six days: a day less than attestors sign
                                       for unless told otherwise. It is renewed when half of them are over
  BITCLOAK_ENCLAVE_MARKETS             JSON file: a list of { "market", "pair", "base", "quote", "lotBase", "tickQuote", "makerFee", "takerFee",
                                       "ticksMax", "lotsMin", "lotsMax", "referenceSecondsMax", "referenceMoveMax", "reference"? }: assets by their
                                       symbols in the manifest, base units as strings, fees in basis points, "reference" a URL that answers
                                       { "bid", "ask", "time" }
  BITCLOAK_ENCLAVE_RULES               JSON file: { "settleSeconds", "roundSeconds", "orderSecondsMax", "lockSecondsMax", "ordersMax", "withdrawalFees":
                                       [{ "asset", "fee" }], "noteMins": [{ "asset", "value" }] }: roundSeconds from one settlement to the next that can
                                       spend what it left; ordersMax for an owner and asset, ordersMax × roundSeconds + 1800 ≤ settleSeconds
  BITCLOAK_ENCLAVE_TREASURY            shielded address that gets fees and dust
  BITCLOAK_ENCLAVE_GAS_KEY_FILE        file with the private key, in hexadecimal, of the account that pays the gas, mode 0600
  BITCLOAK_ENCLAVE_GAS_KEY             that key itself, in place of its file, on machines that have secrets as variables
  BITCLOAK_ENCLAVE_CADENCE             interval:SECONDS, or count:MATCHES:SECONDS for so many matches and at the latest after so long; interval:600
                                       unless given
  BITCLOAK_ENCLAVE_FILLS               fills of every settlement, 2 to 16; 4 unless given
  BITCLOAK_ENCLAVE_CONFIRMATIONS       blocks that stand on one before it counts; 2 unless given
  BITCLOAK_ENCLAVE_CLOCK_SKEW_SECONDS  how far blocks may be ahead of the clock; 900 unless given, 0 for any
  BITCLOAK_ENCLAVE_PROVERS             processes that prove; 1 unless given
  BITCLOAK_ENCLAVE_ENDPOINT            URL of an endpoint, where it is another than the manifest's
  BITCLOAK_ENCLAVE_HOST                127.0.0.1 unless given
  BITCLOAK_ENCLAVE_PORT                8560 unless given
  BITCLOAK_ENCLAVE_ADDRESS_PER_MINUTE  requests of one address in a minute, 6000 unless given
  BITCLOAK_ENCLAVE_CONNECTIONS_PER_ADDRESS
                                       connections of one address at once, 256 unless given; not counted where there are trusted proxies
  BITCLOAK_ENCLAVE_OWNER_PER_SECOND    requests of one owner in a second, 100 unless given
  BITCLOAK_ENCLAVE_TRUSTED_PROXIES     addresses of proxies, with commas, whose word on a client's address counts`;

/** A day less than attestors sign for unless told otherwise: of a time that is too long by a second, since clocks differ, they sign for nothing. */
const EVIDENCE_SECONDS = 518_400;

/** Where the keys are from. */
export type KeySource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'dstack'; readonly socket: string }
  | { readonly kind: 'tsm' };

export type Settings = {
  readonly manifest: Manifest;
  readonly directory: string;
  readonly operator: number;
  readonly keySource: KeySource;
  readonly collateral: CollateralSource;
  readonly attestors: readonly string[];
  readonly evidenceSeconds: number;
  readonly markets: readonly MarketSettings[];
  readonly rules: ExchangeRules;
  readonly treasury: ShieldedAddress;
  /** With 0x. */
  readonly gasKey: string;
  readonly cadence: Cadence;
  readonly confirmations: number;
  readonly clockSkewSecondsMax: number | undefined;
  readonly provers: number;
  readonly host: string;
  readonly port: number;
  readonly limits: Partial<ApiLimits>;
  readonly trustedProxies: readonly string[] | undefined;
};

const INTEGER = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const DECIMAL = { type: 'string', maxLength: 40, pattern: '^(0|[1-9][0-9]*)$' };
const TEXT = { type: 'string', maxLength: 2_000 };
const strictObject = (properties: Record<string, object>, optional: Record<string, object> = {}) => ({
  type: 'object',
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});

const MARKETS_SCHEMA = {
  type: 'array',
  items: strictObject(
    {
      market: INTEGER,
      pair: TEXT,
      base: TEXT,
      quote: TEXT,
      lotBase: DECIMAL,
      tickQuote: DECIMAL,
      makerFee: INTEGER,
      takerFee: INTEGER,
      ticksMax: INTEGER,
      lotsMin: INTEGER,
      lotsMax: INTEGER,
      referenceSecondsMax: INTEGER,
      referenceMoveMax: INTEGER,
    },
    { reference: TEXT },
  ),
};
type WireMarket = Record<'pair' | 'base' | 'quote' | 'lotBase' | 'tickQuote', string> &
  Record<'market' | 'makerFee' | 'takerFee' | 'ticksMax' | 'lotsMin' | 'lotsMax', number> &
  Record<'referenceSecondsMax' | 'referenceMoveMax', number> & { reference?: string };

const RULES_SCHEMA = strictObject({
  settleSeconds: INTEGER,
  roundSeconds: INTEGER,
  orderSecondsMax: INTEGER,
  lockSecondsMax: INTEGER,
  ordersMax: INTEGER,
  withdrawalFees: { type: 'array', items: strictObject({ asset: TEXT, fee: DECIMAL }) },
  noteMins: { type: 'array', items: strictObject({ asset: TEXT, value: DECIMAL }) },
});
type WireRules = Record<'settleSeconds' | 'roundSeconds' | 'orderSecondsMax' | 'lockSecondsMax', number> & {
  ordersMax: number;
  withdrawalFees: { asset: string; fee: string }[];
  noteMins: { asset: string; value: string }[];
};

/** Throws `USAGE`, naming the variable, for settings that are none, and `NETWORK_UNKNOWN` for a manifest that is none. */
export function readSettings(environment: Environment): Settings {
  const settings = new ServiceSettings('BITCLOAK_ENCLAVE_', environment);
  const manifest = readNetwork(settings);
  const perSecond = settings.count('OWNER_PER_SECOND', 100, 1_000_000, 1);
  const clockSkew = settings.count('CLOCK_SKEW_SECONDS', 900, 86_400);
  return {
    manifest: { ...manifest, endpoint: settings.text('ENDPOINT') ?? manifest.endpoint },
    directory: settings.needed('DIRECTORY'),
    operator: settings.count('OPERATOR', undefined, 999_999_999, 1),
    keySource: readKeySource(settings),
    collateral: readCollateralSource(settings),
    attestors: (settings.list('ATTESTORS') ?? []).map((url) => checkUrl(settings, 'ATTESTORS', url)),
    evidenceSeconds: settings.count('EVIDENCE_SECONDS', EVIDENCE_SECONDS, 2_592_000, 3_600),
    markets: readMarkets(settings, manifest.tokens),
    rules: readRules(settings, manifest.tokens),
    treasury: readTreasury(settings),
    gasKey: readGasKey(settings),
    cadence: readCadence(settings),
    confirmations: settings.count('CONFIRMATIONS', 2, 10_000),
    clockSkewSecondsMax: clockSkew === 0 ? undefined : clockSkew,
    provers: settings.count('PROVERS', 1, 64, 1),
    host: settings.text('HOST') ?? '127.0.0.1',
    port: settings.count('PORT', 8560, 65_535),
    limits: {
      addressPerMinute: settings.count('ADDRESS_PER_MINUTE', 6_000, 100_000_000, 1),
      connectionsPerAddress: settings.count('CONNECTIONS_PER_ADDRESS', 256, 10_000, 1),
      owner: { perSecond, burst: 2 * perSecond },
    },
    trustedProxies: settings.list('TRUSTED_PROXIES'),
  };
}

function readNetwork(settings: ServiceSettings): Manifest {
  const inline = settings.inlineJson('MANIFEST');
  return inline === undefined
    ? readManifest(settings.needed('MANIFEST'))
    : parseManifest(inline, 'BITCLOAK_ENCLAVE_MANIFEST');
}

function readGasKey(settings: ServiceSettings): string {
  if (settings.text('GAS_KEY') === undefined) return settings.privateKey('GAS_KEY_FILE');
  if (settings.text('GAS_KEY_FILE') !== undefined) settings.refuse('GAS_KEY_FILE', 'none beside GAS_KEY');
  return settings.inlinePrivateKey('GAS_KEY');
}

function readJson(settings: ServiceSettings, name: string, schema: object): unknown {
  const text = settings.inlineJson(name) ?? settings.file(name);
  try {
    const json: unknown = JSON.parse(text);
    checkJson(schema, json, 'file');
    return json;
  } catch (error) {
    return settings.refuse(name, `another file (${(error as Error).message})`);
  }
}

function tokenOf(settings: ServiceSettings, name: string, tokens: readonly Token[], symbol: string): Token {
  return (
    tokens.find((token) => token.symbol === symbol) ?? settings.refuse(name, 'assets by their symbols in the manifest')
  );
}

function readMarkets(settings: ServiceSettings, tokens: readonly Token[]): MarketSettings[] {
  const list = readJson(settings, 'MARKETS', MARKETS_SCHEMA) as WireMarket[];
  return list.map(({ base, quote, lotBase, tickQuote, reference: url, ...numbers }) => {
    const { market, pair, makerFee, takerFee, ...rules } = numbers;
    const of = (symbol: string) => tokenOf(settings, 'MARKETS', tokens, symbol);
    const [baseToken, quoteToken] = [of(base), of(quote)];
    const assets = { base: baseToken.asset, quote: quoteToken.asset };
    const units = { lotBase: BigInt(lotBase), tickQuote: BigInt(tickQuote) };
    const terms = { market, pair, ...assets, ...units, makerFee, takerFee };
    if (url === undefined) return { terms, rules };
    checkUrl(settings, 'MARKETS', url);
    return { terms, rules, reference: { url, baseDecimals: baseToken.decimals, quoteDecimals: quoteToken.decimals } };
  });
}

function readRules(settings: ServiceSettings, tokens: readonly Token[]): ExchangeRules {
  const { withdrawalFees, noteMins, ...seconds } = readJson(settings, 'RULES', RULES_SCHEMA) as WireRules;
  const assetOf = (symbol: string) => tokenOf(settings, 'RULES', tokens, symbol).asset;
  const fees = withdrawalFees.map(({ asset, fee }) => [assetOf(asset), BigInt(fee)] as const);
  const mins = noteMins.map(({ asset, value }) => [assetOf(asset), BigInt(value)] as const);
  const fills = settings.count('FILLS', 4, SETTLEMENT_FILLS_MAX, 2);
  const rules = { ...seconds, withdrawalFees: fees, noteMins: mins, fills };
  return areRulesValid(rules)
    ? rules
    : settings.refuse(
        'RULES',
        'times from 1 second, locks of 90 days at most, and ordersMax × roundSeconds + 1800 ≤ settleSeconds',
      );
}

function readKeySource(settings: ServiceSettings): KeySource {
  const text = settings.text('TEE') ?? 'file';
  if (text === 'file') return { kind: 'file', path: settings.needed('SEED_FILE') };
  const socket = text === 'dstack' ? DSTACK_SOCKET : /^dstack:(.+)$/s.exec(text)?.[1];
  if (socket === undefined && text !== 'tsm') return settings.refuse('TEE', 'dstack, dstack:SOCKET, tsm or file');
  if (settings.text('SEED_FILE') !== undefined) {
    return settings.refuse('SEED_FILE', 'none where the keys are from elsewhere');
  }
  return socket === undefined ? { kind: 'tsm' } : { kind: 'dstack', socket };
}

function readCollateralSource(settings: ServiceSettings): CollateralSource {
  const base = settings.text('COLLATERAL');
  return base === undefined ? INTEL_PCS : { base: checkUrl(settings, 'COLLATERAL', base) };
}

function checkUrl(settings: ServiceSettings, name: string, url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url;
  return settings.refuse(name, 'a URL such as https://localhost:8081');
}

function readTreasury(settings: ServiceSettings): ShieldedAddress {
  const text = settings.needed('TREASURY');
  try {
    return parseAddress(text);
  } catch {
    return settings.refuse('TREASURY', 'a shielded address');
  }
}

function readCadence(settings: ServiceSettings): Cadence {
  const text = settings.text('CADENCE') ?? 'interval:600';
  const interval = /^interval:([1-9][0-9]{0,5})$/.exec(text)?.[1];
  if (interval !== undefined) return { kind: 'interval', seconds: Number(interval) };
  const [, matches, seconds] = /^count:([1-9][0-9]{0,5}):([1-9][0-9]{0,5})$/.exec(text) ?? [];
  if (matches === undefined || seconds === undefined) {
    return settings.refuse('CADENCE', 'interval:SECONDS or count:MATCHES:SECONDS');
  }
  return { kind: 'count', matches: Number(matches), secondsMax: Number(seconds) };
}
