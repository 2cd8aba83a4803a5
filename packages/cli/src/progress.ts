import process from 'node:process';
import type { Stage, SyncProgress } from '@bitcloak/wallet/types';
import { formatDuration } from './time.ts';

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 5_000;
/** What is over sooner is not shown at all. */
const PATIENCE_MS = 300;
const BAR_WIDTH = 20;
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** One line on stderr that changes on a terminal, and plain lines at intervals elsewhere. */
export class Progress {
  readonly #quiet: boolean;
  readonly #redraws: boolean;
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;
  #began = 0;
  #lastPlain = 0;
  #stage: Stage | undefined;

  constructor(quiet: boolean) {
    this.#quiet = quiet;
    this.#redraws = process.stderr.isTTY;
  }

  /** A function that takes the progress of a synchronisation that begins now. */
  sync(): (progress: SyncProgress) => void {
    this.clear();
    const began = performance.now();
    this.#lastPlain = began;
    let newest: SyncProgress | undefined;
    const line = () => (newest === undefined ? 'syncing' : syncLine(newest, performance.now() - began));
    this.#animate(line, PATIENCE_MS);
    return (progress) => {
      newest = progress;
      this.#plain(line);
    };
  }

  /** Takes what a call is doing now. */
  readonly stage = (stage: Stage): void => {
    if (stage === this.#stage) return;
    this.clear();
    this.#stage = stage;
    this.#began = performance.now();
    if (!this.#redraws && !this.#quiet) process.stderr.write(`${stage}\n`);
    this.#animate(() => `${this.#spinner()} ${stage} ${this.#elapsed()}`, 0);
  };

  /** A line that stays. */
  note(text: string): void {
    this.clear();
    if (!this.#quiet) process.stderr.write(`${text}\n`);
  }

  /** Like `note`, but said even where progress is not wanted. */
  warn(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  /** Ends what is shown; a stage leaves a line with the time that it took. */
  clear(): void {
    const done = this.#stage;
    this.abandon();
    if (done !== undefined && this.#redraws && !this.#quiet) process.stderr.write(`✓ ${done} ${this.#elapsed()}\n`);
  }

  /** Ends what is shown because what it tells of failed. */
  abandon(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#drawn) process.stderr.write('\r\x1b[K');
    this.#drawn = false;
    this.#stage = undefined;
  }

  #animate(line: () => string, afterMs: number): void {
    if (!this.#redraws || this.#quiet) return;
    const from = performance.now() + afterMs;
    this.#timer = setInterval(() => {
      if (performance.now() < from) return;
      const width = process.stderr.columns;
      process.stderr.write(`\r\x1b[K${line().slice(0, width > 1 ? width - 1 : undefined)}`);
      this.#drawn = true;
    }, REDRAW_MS);
    // It must not keep a process alive whose work is done.
    this.#timer.unref();
  }

  #plain(line: () => string): void {
    if (this.#redraws || this.#quiet) return;
    const now = performance.now();
    if (now - this.#lastPlain < PLAIN_LINE_MS) return;
    this.#lastPlain = now;
    process.stderr.write(`${line()}\n`);
  }

  #elapsed(): string {
    return `${((performance.now() - this.#began) / 1000).toFixed(1)} s`;
  }

  #spinner(): string {
    return SPINNER[Math.floor(performance.now() / REDRAW_MS) % SPINNER.length] as string;
  }
}

/** The bar, blocks, rate and time left of a synchronisation. */
export function syncLine({ from, done, target }: SyncProgress, elapsedMs: number): string {
  const total = Math.max(1, target - from + 1);
  const read = Math.min(total, Math.max(0, done - from + 1));
  const filled = Math.floor((read / total) * BAR_WIDTH);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]`;
  const rate = elapsedMs > 0 ? (read * 1000) / elapsedMs : 0;
  const left = rate > 0 ? formatDuration(BigInt(Math.ceil((total - read) / rate))) : 'unknown';
  const count = (value: number) => value.toLocaleString('en-US');
  return `syncing ${bar} ${count(read)} of ${count(total)} blocks, ${count(Math.round(rate))} blocks/s, ${left} left`;
}
