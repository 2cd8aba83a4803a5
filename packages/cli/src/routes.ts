import type { Manifest, Token } from '@bitcloak/chain/manifest';
import { BitcloakError } from '@bitcloak/protocol/errors';
import { parseAmount } from '@bitcloak/protocol/amounts';
import type { Session } from '@bitcloak/wallet/session';
import type { Route } from '@bitcloak/wallet/types';
import type { Context } from './context.ts';
import { Stopped } from './errors.ts';
import { amountText } from './format.ts';
import { parseUrl } from './parse.ts';
import { askYesNo, canAsk } from './prompts.ts';

export type RouteOptions = {
  /** true where the option came without a URL. */
  readonly relayer?: string | true;
  readonly direct?: true;
  readonly feeMax?: string;
};

/** What a transfer does, as far as its route is concerned. */
export type Purpose = {
  readonly token: Token;
  /** Public recipient of a withdrawal. */
  readonly recipient?: string;
  /** The public account that pays for the gas of a direct transfer. */
  readonly payer: string;
  /** Throws where the wallet cannot do it at that fee: nobody is asked to agree to what cannot be done. */
  readonly check: (fee: bigint) => Promise<void>;
};

/** What the options ask for, before anything is looked up. */
export type RouteChoice =
  { readonly kind: 'direct' } | { readonly kind: 'relayer'; readonly url: string; readonly feeMax: bigint | undefined };

/** Through a relayer where one is named or known, else directly. */
export function readRoute(manifest: Manifest, { relayer, direct, feeMax }: RouteOptions, token: Token): RouteChoice {
  if (direct === true) return { kind: 'direct' };
  const url = typeof relayer === 'string' ? parseUrl(relayer, '--relayer') : manifest.relayer;
  if (url !== undefined) {
    return { kind: 'relayer', url, feeMax: feeMax === undefined ? undefined : parseAmount(feeMax, token) };
  }
  if (relayer === undefined && feeMax === undefined) return { kind: 'direct' };
  throw new BitcloakError('USAGE', 'relayer: the manifest names none, so --relayer URL is needed');
}

/** Says what a relayer takes or what a direct transfer shows, and asks where neither --fee-max nor --yes has agreed to it. */
export async function chooseRoute(
  context: Context,
  session: Session,
  choice: RouteChoice,
  purpose: Purpose,
): Promise<Route> {
  const { token, recipient, check } = purpose;
  if (choice.kind === 'direct') {
    await check(0n);
    return directRoute(context, purpose);
  }
  const { url, feeMax } = choice;
  const fee = await session.quote(url, token.asset, recipient === undefined ? 'transfer' : 'withdrawal');
  if (feeMax !== undefined && fee > feeMax) {
    const message = `fee: expected at most ${amountText(feeMax, token)}, the relayer asks ${amountText(fee, token)}`;
    throw new BitcloakError('RELAYER_FEE_EXCESSIVE', message);
  }
  await check(fee);
  if (feeMax !== undefined) return { kind: 'relayer', url, feeMax };
  await agreeToFee(context, url, amountText(fee, token));
  return { kind: 'relayer', url, feeMax: fee };
}

async function directRoute(context: Context, { payer, recipient }: Purpose): Promise<Route> {
  const shown =
    recipient === undefined
      ? `a transfer of your public account ${payer} at this time (asset, amount and recipient stay hidden)`
      : `your public account ${payer} as the sender of this withdrawal, its asset and amount, and links it to ${recipient}`;
  context.progress.warn(
    `WARNING: sent directly, not through a relayer. The chain shows ${shown}, to everybody and for ever. A relayer sends in its own name: --relayer URL`,
  );
  await agree(context, 'Send directly?');
  return { kind: 'direct' };
}

async function agreeToFee(context: Context, url: string, fee: string): Promise<void> {
  context.progress.note(`The relayer ${new URL(url).host} takes ${fee} for each transfer, out of the notes.`);
  await agree(context, `Pay the relayer ${fee}?`, '--fee-max or --yes');
}

/** Asks unless --yes has agreed already; where there is no terminal to ask on it refuses, and names what agrees. */
export async function agree(context: Context, question: string, options = '--yes'): Promise<void> {
  if (context.options.yes === true) return;
  if (!canAsk()) throw new BitcloakError('USAGE', `no terminal to ask "${question}": use ${options}`);
  if (!(await askYesNo(question))) throw new Stopped('CANCELLED', 'nothing was sent', 1);
}
