import { stderr } from 'node:process';

/** snarkjs's logger, without its debug lines. */
export const logger = {
  info: (line: string) => stderr.write(`${line}\n`),
  warn: (line: string) => stderr.write(`${line}\n`),
  error: (line: string) => stderr.write(`${line}\n`),
  debug: () => undefined,
};

/** snarkjs keeps worker threads alive on a global curve; the process ends once they are terminated. */
export async function terminateCurve(): Promise<void> {
  const { curve_bn128: curve } = globalThis as { curve_bn128?: { terminate(): Promise<void> } };
  await curve?.terminate();
}
