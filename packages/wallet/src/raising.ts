import type { Raising } from '@bitcloak/chain/replacement';
import type { Stage } from './types.ts';

/** What the wallet's own account sends tells when it offers more for gas. */
export function raisingOf(onStage: ((stage: Stage) => void) | undefined): Raising {
  return { onRaise: () => onStage?.('waiting at a higher gas price') };
}
