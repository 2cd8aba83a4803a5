import assert from 'node:assert/strict';
import { commitmentOf } from '@bitcloak/notes/note';

/** No two commitments are equal, and none is that of a note of nothing which everybody can make: with either, worthless notes could be told from others. */
export function assertHidden(commitments: readonly bigint[], assets: readonly bigint[]): void {
  assert.equal(new Set(commitments).size, commitments.length, 'two commitments are equal');
  const guesses = assets.flatMap((asset) =>
    [0n, 1n].flatMap((owner) =>
      [0n, 1n].map((blinding) => commitmentOf({ asset, value: 0n, owner, blinding, lock: undefined })),
    ),
  );
  for (const guess of guesses) assert.ok(!commitments.includes(guess), 'a commitment that everybody can make');
}
