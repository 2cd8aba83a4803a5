// circomlibjs 0.1.7 brings no types. These are the parts that Bitcloak uses, as its sources have them.
declare module 'circomlibjs' {
  /** A field element as the library holds it: 32 bytes in Montgomery form. */
  export type FieldElement = Uint8Array;
  /** What a field takes for an element; out of range it is reduced. */
  export type FieldElementLike = FieldElement | bigint | number | string;
  export type Point = [FieldElement, FieldElement];

  export interface Field {
    readonly zero: FieldElement;
    readonly one: FieldElement;
    e(value: FieldElementLike, base?: number): FieldElement;
    toObject(element: FieldElement): bigint;
    toString(element: FieldElement, base?: number): string;
    eq(a: FieldElement, b: FieldElement): boolean;
    isZero(a: FieldElement): boolean;
    add(a: FieldElement, b: FieldElement): FieldElement;
    sub(a: FieldElement, b: FieldElement): FieldElement;
    mul(a: FieldElement, b: FieldElement): FieldElement;
    neg(a: FieldElement): FieldElement;
    toRprLE(buffer: Uint8Array, offset: number, element: FieldElement): void;
    fromRprLE(buffer: Uint8Array, offset: number): FieldElement;
  }

  export interface Poseidon {
    /** The inputs are 1 to 16 elements, or their 32-byte Montgomery forms one after another. */
    (inputs: readonly FieldElementLike[] | Uint8Array, initialState?: FieldElementLike): FieldElement;
    (inputs: readonly FieldElementLike[] | Uint8Array, initialState: FieldElementLike, outputs: 1): FieldElement;
    (inputs: readonly FieldElementLike[] | Uint8Array, initialState: FieldElementLike, outputs: number): FieldElement[];
    readonly F: Field;
  }

  export interface BabyJub {
    readonly F: Field;
    readonly p: bigint;
    readonly order: bigint;
    readonly subOrder: bigint;
    readonly Generator: Point;
    readonly Base8: Point;
    readonly A: FieldElement;
    readonly D: FieldElement;
    addPoint(a: Point, b: Point): Point;
    mulPointEscalar(base: Point, scalar: bigint): Point;
    inSubgroup(point: Point): boolean;
    inCurve(point: Point): boolean;
    packPoint(point: Point): Uint8Array;
    unpackPoint(packed: Uint8Array): Point | null;
  }

  export interface EddsaSignature {
    R8: Point;
    S: bigint;
  }

  export interface Eddsa {
    readonly F: Field;
    readonly babyJub: BabyJub;
    readonly poseidon: Poseidon;
    /** Changes the buffer that it is given, and returns it. */
    pruneBuffer(buffer: Uint8Array): Uint8Array;
    prv2pub(privateKey: Uint8Array): Point;
    signPoseidon(privateKey: Uint8Array, message: FieldElement): EddsaSignature;
    verifyPoseidon(message: FieldElement, signature: EddsaSignature, publicKey: Point): boolean;
    packSignature(signature: EddsaSignature): Uint8Array;
    unpackSignature(packed: Uint8Array): EddsaSignature;
  }

  export function buildPoseidon(): Promise<Poseidon>;
  export function buildBabyjub(): Promise<BabyJub>;
  export function buildEddsa(): Promise<Eddsa>;

  /** Generators of Poseidon in EVM bytecode; `state` is always 0. */
  export const poseidonContract: {
    createCode(inputs: number): string;
    generateABI(inputs: number): { name: string }[];
  };
}
