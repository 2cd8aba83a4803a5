// The circuit fill with a switch for every step: what the copy has in the place of each, and the values that a prover puts there.
import type { CircuitInput } from '@bitcloak/prover/witness';
import { fillParts, type FillInput, type FillView } from '../support/fillCircuit.ts';
import type { Edit } from './copies.ts';
import { switchIn } from './switches.ts';

export const FILL_SWITCHES = [
  '1',
  '2',
  '3 key',
  '3 R8',
  '4',
  '5 expiry',
  '5 comparison',
  '5 relock',
  '6',
  '7',
  '8',
  '9 expiry',
  '9 comparison',
  '10 asset',
  '10 value',
  '10 owner',
  '10 lock',
  '11 inclusion',
  '11 index',
  '12',
  '13',
  '14 sum',
  '14 sold',
  '14 bought',
  '14 rest',
  '15 sellMax',
  '15 buyMin',
  '15 buyAsset',
  '16',
  '17 least',
  '17 most',
  '17 comparison',
  '18',
  '19 blinding',
  '19 lock',
  '19 commitment',
  '20 owner',
  '20 blinding',
  '20 lock',
  '20 commitment',
  '21',
  '22 pads',
  '22 sold and rest',
  '22 bought and relock',
  '22 asset and expiry',
] as const;
export type FillSwitch = (typeof FILL_SWITCHES)[number];

const on = (name: FillSwitch) => switchIn(FILL_SWITCHES, name);
const cut = (find: string, replace: string): Edit => ({ file: 'lib/fill.circom', find, replace });
/** The prover's own value where the step is off. */
const either = (name: FillSwitch, own: string, honest: string) => `${own} + ${on(name)} * (${honest} - ${own})`;
/** Two sides that need not be equal where the step is off. */
const equality = (name: FillSwitch, left: string, right: string) =>
  cut(`${left} === ${right};`, `${on(name)} * (${left} - (${right})) === 0;`);
/** A signal that is the prover's choice where the step is off. */
const choice = (name: FillSwitch, signal: string, definition: string, own: string) =>
  cut(
    `signal ${signal} <== ${definition};`,
    `signal cutHonest_${signal} <== ${definition};
    signal ${signal} <== ${either(name, own, `cutHonest_${signal}`)};`,
  );
/** A number that need not have its bits where the step is off. */
const range = (name: FillSwitch, bits: string, number: string) =>
  cut(`Num2Bits(${bits})(${number})`, `Num2Bits(${bits})(${on(name)} * (${number}))`);
/** A point that need not be on the curve where the step is off: the check then looks at the neutral element. */
const point = (name: FillSwitch, signal: string) =>
  cut(
    `BabyCheck()(${signal}[0], ${signal}[1]);`,
    `BabyCheck()(${on(name)} * ${signal}[0], 1 + ${on(name)} * (${signal}[1] - 1));`,
  );

export const FILL_EDITS: readonly Edit[] = [
  cut(
    'signal input r; ',
    `signal input cutOn[${FILL_SWITCHES.length}];
    signal input cutOwner;
    signal input cutOrderHash;
    signal input cutAsset[inputCount];
    signal input cutValue[inputCount];
    signal input cutNoteOwner[inputCount];
    signal input cutLock[inputCount];
    signal input cutIndex[inputCount];
    signal input cutRest;
    signal input cutLeast;
    signal input cutMost;
    signal input cutBlinding[2];
    signal input cutChangeLock;
    signal input cutProceedsLock;
    signal input cutPad[3];
    signal cutHonestLock[inputCount];
    signal cutWorth[inputCount];
    signal cutHonestPad[3];
    signal input r; `,
  ),
  choice('1', 'owner', 'Owner()(publicKey, nullifierKey)', 'cutOwner'),
  cut('signal orderHash <== OrderHash()(', 'signal cutHonestOrderHash <== OrderHash()('),
  cut(
    `relockExpiry, salt
    );`,
    `relockExpiry, salt
    );
    signal orderHash <== ${either('2', 'cutOrderHash', 'cutHonestOrderHash')};`,
  ),
  point('3 key', 'publicKey'),
  point('3 R8', 'signatureR8'),
  cut('enabled <== 1,', `enabled <== ${on('4')},`),
  range('5 expiry', 'TIME_BITS()', 'expiry'),
  range('5 comparison', 'TIME_BITS()', 'expiry - validUntil'),
  range('5 relock', 'TIME_BITS()', 'relockExpiry'),
  cut(
    'isFresh * filled === 0;',
    `signal cutFresh <== ${on('6')} * isFresh;
    cutFresh * filled === 0;`,
  ),
  cut(
    '(1 - isFresh) * (stateRoot - root) === 0;',
    `signal cutStale <== ${on('7')} * (1 - isFresh);
    cutStale * (stateRoot - root) === 0;`,
  ),
  equality('8', 'orderNullifier', 'stateNullifier'),
  range('9 expiry', 'TIME_BITS()', 'inputExpiry[i]'),
  range('9 comparison', 'TIME_BITS()', 'inputExpiry[i] - validUntil'),
  cut(
    `inputLock[i] <== Lock()(1, operatorId, inputExpiry[i]);
        inputCommitment[i] <== Commitment()(sellAsset, inputValue[i], Stealth()(owner, inputBlinding[i], inputLock[i]));`,
    `cutHonestLock[i] <== Lock()(1, operatorId, inputExpiry[i]);
        inputLock[i] <== ${either('10 lock', 'cutLock[i]', 'cutHonestLock[i]')};
        inputCommitment[i] <== Commitment()(
            ${either('10 asset', 'cutAsset[i]', 'sellAsset')},
            ${either('10 value', 'cutValue[i]', 'inputValue[i]')},
            Stealth()(${either('10 owner', 'cutNoteOwner[i]', 'owner')}, inputBlinding[i], inputLock[i])
        );`,
  ),
  cut(
    'indexBits[i].in <== inputLeafIndex[i];',
    `indexBits[i].in <== ${either('11 index', 'cutIndex[i]', 'inputLeafIndex[i]')};`,
  ),
  cut(
    'inputValue[i] * (inputRoot[i] - root) === 0;',
    `cutWorth[i] <== ${on('11 inclusion')} * inputValue[i];
        cutWorth[i] * (inputRoot[i] - root) === 0;`,
  ),
  equality('12', 'nullifiers[i]', 'inputNullifier[i]'),
  range('13', 'TIME_BITS()', 'inputExpiry[i] - inputExpiry[0]'),
  cut('signal rest <== sumIn - sold;', `signal rest <== ${either('14 sum', 'cutRest', '(sumIn - sold)')};`),
  range('14 sold', 'AMOUNT_BITS()', 'sold'),
  range('14 bought', 'AMOUNT_BITS()', 'bought'),
  range('14 rest', 'AMOUNT_BITS()', 'rest'),
  range('15 sellMax', 'AMOUNT_BITS()', 'sellMax'),
  range('15 buyMin', 'AMOUNT_BITS()', 'buyMin'),
  range('15 buyAsset', 'ASSET_BITS()', 'buyAsset'),
  range('16', 'AMOUNT_BITS()', 'sellMax - filled - sold'),
  choice('17 least', 'least', 'sold * buyMin', 'cutLeast'),
  choice('17 most', 'most', 'bought * sellMax', 'cutMost'),
  range('17 comparison', '2 * AMOUNT_BITS()', 'most - least'),
  equality('18', 'fill', 'fillCommitment'),
  choice(
    '19 blinding',
    'changeBlinding',
    'Hash(4, TAG_BLINDING())([nullifierKey, fill, nullifiers[0], 0])',
    'cutBlinding[0]',
  ),
  cut('changeBlinding, inputLock[0])', `changeBlinding, ${either('19 lock', 'cutChangeLock', 'inputLock[0]')})`),
  equality('19 commitment', 'change', 'changeCommitment'),
  cut(
    '(1 - isPlain) * (payTo - owner) === 0;',
    `signal cutRelocked <== ${on('20 owner')} * (1 - isPlain);
    cutRelocked * (payTo - owner) === 0;`,
  ),
  choice('20 lock', 'proceedsLock', 'Lock()(1 - isPlain, operatorId, relockExpiry)', 'cutProceedsLock'),
  choice(
    '20 blinding',
    'proceedsBlinding',
    'Hash(4, TAG_BLINDING())([nullifierKey, fill, nullifiers[0], 1])',
    'cutBlinding[1]',
  ),
  equality('20 commitment', 'proceeds', 'proceedsCommitment'),
  equality('21', 'orderState', 'nextState'),
  cut(
    'pads[i] <== Hash(4, TAG_PAD())([nullifierKey, fill, nullifiers[0], i]);',
    `cutHonestPad[i] <== Hash(4, TAG_PAD())([nullifierKey, fill, nullifiers[0], i]);
        pads[i] <== ${either('22 pads', 'cutPad[i]', 'cutHonestPad[i]')};`,
  ),
  equality('22 sold and rest', 'words[0]', 'pads[0] + sold + 2 ** AMOUNT_BITS() * rest'),
  equality('22 bought and relock', 'words[1]', 'pads[1] + bought + 2 ** AMOUNT_BITS() * relockExpiry'),
  equality('22 asset and expiry', 'words[2]', 'pads[2] + buyAsset + 2 ** ASSET_BITS() * inputExpiry[0]'),
];

/** The signals that the copy has beside the switches, as the prover sees the fill; `index` is where the paths of the notes begin. */
export function fillChoices(input: FillInput, view: FillView = {}, index = input.inputLeafIndex): CircuitInput {
  const { owner, orderHash, notes, rest, least, most, change, proceeds, pads } = fillParts(input, view);
  return {
    cutOwner: owner,
    cutOrderHash: orderHash,
    cutAsset: notes.map(({ asset }) => asset),
    cutValue: notes.map(({ value }) => value),
    cutNoteOwner: notes.map((note) => note.owner),
    cutLock: notes.map(({ lock }) => lock),
    cutIndex: index,
    cutRest: rest,
    cutLeast: least,
    cutMost: most,
    cutBlinding: [change.blinding, proceeds.blinding],
    cutChangeLock: change.lock,
    cutProceedsLock: proceeds.lock,
    cutPad: [...pads],
  };
}
