import { readFileSync } from 'node:fs';

/** What some work took: the clock on the wall, and the time that all threads of this process, and the processes that it waited for, computed. */
export type Cost = { readonly wallMs: number; readonly cpuMs: number };

/** The kernel counts the time of processes that ended in hundredths of a second. */
const TICK_MS = 10;

export function startCost(): () => Cost {
  const [wall, cpu, ended] = [performance.now(), process.cpuUsage(), endedProcessesMs()];
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { wallMs: performance.now() - wall, cpuMs: (user + system) / 1000 + endedProcessesMs() - ended };
  };
}

/** Computing time of processes that this one started and waited for; 0 where the system does not tell. */
function endedProcessesMs(): number {
  if (process.platform !== 'linux') return 0;
  // After the name, which is in brackets and may have spaces, the 14th and 15th field.
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new RangeError('there is no median of nothing');
  return (low + high) / 2;
}

export function medianCost(costs: readonly Cost[]): Cost {
  return { wallMs: median(costs.map(({ wallMs }) => wallMs)), cpuMs: median(costs.map(({ cpuMs }) => cpuMs)) };
}

/** Rounds what is written down to four digits: what follows them is noise. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** `value` with separators, such as 12,345. */
export function grouped(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 0 });
}
