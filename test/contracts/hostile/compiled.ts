import type { Deployable } from '../../support/chain.ts';
import { compile } from '../../support/solidity.ts';

/** A contract of this directory. They are compiled by the tests and are in no artifact, so that no script can deploy one. */
export function hostileContract(name: 'HostileToken' | 'Reenterer'): Deployable {
  return compile(`test/contracts/hostile/${name}.sol`, name, {});
}
