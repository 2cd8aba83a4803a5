import { NONE } from './orders.ts';

/** A node has 32 children, one for each value of five bits; seven nodes on top of each other tell keys of 31 bits apart. */
const BITS = 5;
const CHILDREN = 1 << BITS;
const MASK = CHILDREN - 1;
const TOP_SHIFT = 30;
const DEPTH = TOP_SHIFT / BITS + 1;

const FIRST_CAPACITY = 256;

/**
 * Finds a level by its key, and the next one above a key that has none: one tree of 32-bit bitmaps for each ladder. It has nodes only above
 * levels that there are, so that prices may lie anywhere below 2^31.
 */
export class PriceIndex {
  #roots = new Int32Array(0);
  /** Which children a node has. */
  #bitmaps = new Int32Array(FIRST_CAPACITY);
  /** Nodes, and below the lowest nodes levels. A free node has no children but for the first, which is the next free node. */
  #children = new Int32Array(FIRST_CAPACITY * CHILDREN).fill(NONE);
  #capacity = FIRST_CAPACITY;
  #used = 0;
  #free = NONE;
  /** The nodes from the root down to a key's lowest one. */
  readonly #path = new Int32Array(DEPTH);

  reach(ladders: number): void {
    const roots = this.#roots;
    this.#roots = new Int32Array(ladders).fill(NONE);
    this.#roots.set(roots);
  }

  find(ladder: number, key: number): number {
    const children = this.#children;
    let node = this.#roots[ladder]!;
    for (let shift = TOP_SHIFT; shift >= 0; shift -= BITS) {
      if (node === NONE) return NONE;
      node = children[(node << BITS) | ((key >>> shift) & MASK)]!;
    }
    return node;
  }

  /** Adds a level under a key that has none yet. Returns the level of the next higher key, or NONE. */
  insert(ladder: number, key: number, level: number): number {
    if (this.#roots[ladder] === NONE) this.#roots[ladder] = this.#allocate();
    let node = this.#roots[ladder]!;
    let above = NONE;
    let shiftAbove = 0;
    for (let shift = TOP_SHIFT; ; shift -= BITS) {
      const place = (key >>> shift) & MASK;
      const higher = this.#bitmaps[node]! & (-2 << place);
      if (higher !== 0) {
        above = this.#children[(node << BITS) | lowestBit(higher)]!;
        shiftAbove = shift;
      }
      this.#bitmaps[node]! |= 1 << place;
      if (shift === 0) {
        this.#children[(node << BITS) | place] = level;
        return this.#lowest(above, shiftAbove);
      }
      let child = this.#children[(node << BITS) | place]!;
      if (child === NONE) {
        child = this.#allocate();
        this.#children[(node << BITS) | place] = child;
      }
      node = child;
    }
  }

  remove(ladder: number, key: number): void {
    let node = this.#roots[ladder]!;
    for (let depth = 0, shift = TOP_SHIFT; depth < DEPTH; depth++, shift -= BITS) {
      this.#path[depth] = node;
      node = this.#children[(node << BITS) | ((key >>> shift) & MASK)]!;
    }
    for (let depth = DEPTH - 1, shift = 0; depth >= 0; depth--, shift += BITS) {
      const emptied = this.#path[depth]!;
      const place = (key >>> shift) & MASK;
      this.#children[(emptied << BITS) | place] = NONE;
      this.#bitmaps[emptied]! &= ~(1 << place);
      if (this.#bitmaps[emptied] !== 0) return;
      this.#children[emptied << BITS] = this.#free;
      this.#free = emptied;
    }
    this.#roots[ladder] = NONE;
  }

  /** The level of the lowest key below a node that hangs on one of this shift. */
  #lowest(top: number, topShift: number): number {
    let node = top;
    if (node === NONE) return NONE;
    for (let shift = topShift; shift > 0; shift -= BITS) {
      node = this.#children[(node << BITS) | lowestBit(this.#bitmaps[node]!)]!;
    }
    return node;
  }

  #allocate(): number {
    const node = this.#free;
    if (node !== NONE) {
      this.#free = this.#children[node << BITS]!;
      this.#children[node << BITS] = NONE;
      return node;
    }
    if (this.#used === this.#capacity) this.#grow();
    return this.#used++;
  }

  #grow(): void {
    this.#capacity *= 2;
    const bitmaps = new Int32Array(this.#capacity);
    bitmaps.set(this.#bitmaps);
    this.#bitmaps = bitmaps;
    const children = new Int32Array(this.#capacity * CHILDREN).fill(NONE);
    children.set(this.#children);
    this.#children = children;
  }
}

function lowestBit(bitmap: number): number {
  return 31 - Math.clz32(bitmap & -bitmap);
}
