import { formatAccount, type Token } from '@bitcloak/chain/manifest';
import { formatAddress, type ShieldedAddress } from '@bitcloak/notes/address';
import type { Lock } from '@bitcloak/notes/note';
import { BUCKET_LEAVES, VALID_AFTER_GRID_SECONDS } from '@bitcloak/protocol/parameters';
import { formatAmount } from '@bitcloak/protocol/amounts';
import type { HandedTransfer } from '@bitcloak/wallet/handedOver';
import type { Outcome, Wait } from '@bitcloak/wallet/types';
import type { Json } from './output.ts';
import { formatDuration, formatTime, isoTime } from './time.ts';

/** "1.5 ETH" */
export function amountText(value: bigint, token: Token): string {
  return `${formatAmount(value, token)} ${token.symbol}`;
}

/** An amount for programs: as a decimal, and in base units. */
export function amountJson(value: bigint, token: Token): Json {
  return { amount: formatAmount(value, token), units: value.toString() };
}

export function tokenJson({ symbol, asset, decimals }: Token): Json {
  return { symbol, address: formatAccount(asset), decimals };
}

export function shortAddress(address: ShieldedAddress): string {
  const text = formatAddress(address);
  return `${text.slice(0, 14)}…${text.slice(-6)}`;
}

export function formatOperatorId(operatorId: bigint): string {
  return `0x${operatorId.toString(16).padStart(64, '0')}`;
}

/** When a wallet takes a note home: transfers name full hours of block time only, so that this one does not stand out. */
function reclaimableFrom({ expiry }: Lock): bigint {
  const hours = (expiry + VALID_AFTER_GRID_SECONDS - 1n) / VALID_AFTER_GRID_SECONDS;
  return hours * VALID_AFTER_GRID_SECONDS;
}

/** To whom and until when. */
export function lockTerms({ operatorId, expiry }: Lock): string {
  const id = formatOperatorId(operatorId);
  return `operator ${id.slice(0, 10)}…${id.slice(-4)} until ${formatTime(expiry)}`;
}

/** @param now block time, in unix seconds. */
export function lockText(lock: Lock, now: bigint): string {
  const left = lock.expiry > now ? `${formatDuration(lock.expiry - now)} of block time left` : 'expired';
  const from = reclaimableFrom(lock);
  const reclaim = from > now ? `, reclaim from ${formatTime(from)}` : '';
  return `${lockTerms(lock)} (${left}${reclaim})`;
}

export type LockedNotes = {
  readonly token: Token;
  readonly lock: Lock;
  readonly value: bigint;
  readonly count: number;
};

/** Locked notes of one token and operator together where their locks end together; what ends first comes first. */
export function groupLocks(notes: readonly Omit<LockedNotes, 'count'>[]): LockedNotes[] {
  const groups = new Map<string, LockedNotes>();
  for (const { token, lock, value } of notes) {
    const key = `${token.asset} ${lock.operatorId} ${lock.expiry}`;
    const before = groups.get(key) ?? { value: 0n, count: 0 };
    groups.set(key, { token, lock, value: before.value + value, count: before.count + 1 });
  }
  return [...groups.values()].sort((left, right) => Number(left.lock.expiry - right.lock.expiry));
}

export function lockJson(lock: Lock, now: bigint): Json {
  const secondsLeft = lock.expiry > now ? lock.expiry - now : 0n;
  return {
    operatorId: formatOperatorId(lock.operatorId),
    expiry: Number(lock.expiry),
    expiryDate: isoTime(lock.expiry),
    secondsLeft: Number(secondsLeft),
    reclaimableFrom: Number(reclaimableFrom(lock)),
  };
}

export function waitText({ bucket, leaves, closed, bucketsBefore, closableInSeconds }: Wait): string {
  const queue = bucketsBefore === 0 ? '' : `, ${bucketsBefore} inserted before it`;
  if (closed) return `bucket ${bucket}, closed${queue === '' ? ', inserted next' : queue}`;
  const closable = closableInSeconds === 0n ? 'now' : `in ${formatDuration(closableInSeconds)}`;
  return `bucket ${bucket}, ${leaves} of ${BUCKET_LEAVES} leaves, closable ${closable}${queue}`;
}

export function waitJson({ bucket, leaves, closed, bucketsBefore, closableInSeconds }: Wait): Json {
  const closableIn = Number(closableInSeconds);
  return { bucket, leaves, leavesMax: BUCKET_LEAVES, closed, bucketsBefore, closableInSeconds: closableIn };
}

/** What may still land. */
export function pendingText({ kind, amount, time }: HandedTransfer, token: Token): string {
  return `a ${kind} of ${amountText(amount, token)}, handed over at ${formatTime(time)}`;
}

export function pendingJson({ kind, amount, time }: HandedTransfer, token: Token): Json {
  return { kind, token: tokenJson(token), amount: amountJson(amount, token), time: Number(time) };
}

export function outcomeText({ transaction, block, gasUsed, fee, proofMs }: Outcome, token: Token): string {
  const parts = [`transaction ${transaction}`, `block ${block}${gasUsed === undefined ? '' : `, ${gasUsed} gas`}`];
  if (fee > 0n) parts.push(`${amountText(fee, token)} to the relayer`);
  if (proofMs > 0) parts.push(`proof in ${(proofMs / 1000).toFixed(1)} s`);
  return `${parts[0]}\n${parts.slice(1).join(', ')}`;
}

export function outcomeJson(
  { transaction, block, gasUsed, fee, proofMs }: Outcome,
  token: Token,
): { [field: string]: Json } {
  const gas = gasUsed === undefined ? null : Number(gasUsed);
  return { transaction, block, gasUsed: gas, fee: amountJson(fee, token), proofMs: Math.round(proofMs) };
}
