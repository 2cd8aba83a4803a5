import type { Endpoint } from '@bitcloak/chain/endpoint';
import { Erc20 } from '@bitcloak/chain/erc20';
import { formatAccount, type Manifest, type Token } from '@bitcloak/chain/manifest';
import { callError } from '@bitcloak/chain/pool';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { NATIVE_ASSET } from '@bitcloak/protocol/parameters';

const DECIMALS_MAX = 36;

/** The tokens that the manifest names, and any other by its address. */
export class TokenBook {
  readonly #tokens: readonly Token[];
  readonly #endpoint: () => Promise<Endpoint>;
  readonly #foreign = new Map<bigint, Promise<Token>>();

  /** @param endpoint is called only where a token is not in the manifest. */
  constructor(manifest: Manifest, endpoint: () => Promise<Endpoint>) {
    this.#tokens = manifest.tokens;
    this.#endpoint = endpoint;
  }

  /** What the user names: a symbol of the manifest, or an address. */
  async resolve(text: string): Promise<Token> {
    if (/^0x[0-9a-f]{40}$/i.test(text)) {
      const asset = BigInt(text);
      return this.#known(asset) ?? this.#read(asset);
    }
    const same = (token: Token) => token.symbol.toLowerCase() === text.toLowerCase();
    const exact = this.#tokens.find((token) => token.symbol === text);
    const found = exact === undefined ? this.#tokens.filter(same) : [exact];
    if (found.length === 1) return found[0] as Token;
    const symbols = this.#tokens.map((token) => token.symbol).join(', ');
    throw new BitcloakError('ASSET_INVALID', `token: expected one of ${symbols} or an address 0x…, got ${text}`);
  }

  /** For showing what a wallet holds: anybody can put any token into it, also one whose contract answers nonsense. */
  async of(asset: bigint): Promise<Token> {
    const known = this.#known(asset);
    if (known !== undefined) return known;
    try {
      return await this.#read(asset);
    } catch (error) {
      if (!(error instanceof BitcloakError) || error.code !== 'ASSET_INVALID') throw error;
      return { symbol: `base units of ${shortAccount(asset)}`, asset, decimals: 0 };
    }
  }

  #known(asset: bigint): Token | undefined {
    return this.#tokens.find((token) => token.asset === asset);
  }

  #read(asset: bigint): Promise<Token> {
    const reading = this.#foreign.get(asset) ?? this.#endpoint().then((endpoint) => readToken(endpoint, asset));
    this.#foreign.set(asset, reading);
    return reading;
  }
}

async function readToken(endpoint: Endpoint, asset: bigint): Promise<Token> {
  const token = new Erc20(asset, endpoint);
  const decimals = await token.decimals();
  if (decimals === undefined || decimals > DECIMALS_MAX) {
    const message = `token: ${formatAccount(asset)} is no ERC-20 with decimals of at most ${DECIMALS_MAX}`;
    throw new BitcloakError('ASSET_INVALID', message);
  }
  const said = (await token.symbol()) ?? '';
  // Whoever made the contract chose the text: it must neither pass for a token of the manifest nor play tricks on the terminal.
  const symbol = /^[A-Za-z0-9.]{1,12}$/.test(said) ? `${said}@${shortAccount(asset)}` : shortAccount(asset);
  return { symbol, asset, decimals };
}

/** What an account holds outside the pool, in base units. */
export async function publicBalance(endpoint: Endpoint, asset: bigint, account: bigint): Promise<bigint> {
  if (asset === NATIVE_ASSET) {
    return endpoint.getBalance(formatAccount(account)).catch((error: unknown) => {
      throw callError(error);
    });
  }
  const balance = await new Erc20(asset, endpoint).balanceOf(account);
  if (balance !== undefined) return balance;
  throw new BitcloakError('ASSET_INVALID', `token: ${formatAccount(asset)} does not tell a balance`);
}

export function shortAccount(account: bigint): string {
  const text = formatAccount(account);
  return `${text.slice(0, 8)}…${text.slice(-4)}`;
}
