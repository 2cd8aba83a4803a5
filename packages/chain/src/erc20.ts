import { Interface, type Provider } from 'ethers';
import { formatAccount } from './manifest.ts';
import { callError, type Call } from './pool.ts';

const erc20 = new Interface([
  'function symbol() view returns (string)',
  // A uint8 by the standard; read whole, since a decoder of bytes would cut nonsense down to a number that looks right.
  'function decimals() view returns (uint256)',
  'function balanceOf(address) view returns (uint256)',
  'function mint(address, uint256)',
]);

/** What a token says of itself. Its contract is anybody's: where it has no such answer, each of these is undefined. */
export class Erc20 {
  readonly #asset: bigint;
  readonly #provider: Provider;

  constructor(asset: bigint, provider: Provider) {
    this.#asset = asset;
    this.#provider = provider;
  }

  /** Any text at all. */
  async symbol(): Promise<string | undefined> {
    return (await this.#read('symbol')) as string | undefined;
  }

  async decimals(): Promise<number | undefined> {
    const decimals = (await this.#read('decimals')) as bigint | undefined;
    return decimals === undefined ? undefined : Number(decimals);
  }

  /** Base units that an account holds. */
  async balanceOf(account: bigint): Promise<bigint | undefined> {
    return (await this.#read('balanceOf', formatAccount(account))) as bigint | undefined;
  }

  async #read(method: string, ...values: unknown[]): Promise<unknown> {
    let answer: string;
    try {
      const data = erc20.encodeFunctionData(method, values);
      answer = await this.#provider.call({ to: formatAccount(this.#asset), data });
    } catch (error) {
      const failure = callError(error);
      if (failure.code === 'TRANSACTION_FAILED') return undefined;
      throw failure;
    }
    try {
      return erc20.decodeFunctionResult(method, answer)[0];
    } catch {
      return undefined;
    }
  }
}

/** Makes units of the development token, which anybody may. */
export function mintCall(asset: bigint, account: bigint, amount: bigint): Call {
  return {
    to: formatAccount(asset),
    data: erc20.encodeFunctionData('mint', [formatAccount(account), amount]),
    value: 0n,
  };
}
