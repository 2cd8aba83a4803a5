/** No node, no level. */
const NONE = 0;

/** A node has 32 children, one for each value of five bits. Keys have 31 bits. */
const BITS = 5;
const CHILDREN = 1 << BITS;
const MASK = CHILDREN - 1;
const DEPTH_MAX = 7;

const FIRST_CAPACITY = 256;

/**
 * Finds a level by its key, and the next one above a key that has none: one tree of 32-bit bitmaps for each ladder. It has nodes only above
 * levels that there are, so that prices may lie anywhere below 2^31, and its root is no higher than it has to be to tell them apart: where
 * prices are close to each other there are two or three nodes on top of each other, and never more than seven.
 */
export class PriceIndex {
  #roots = new Int32Array(0);
  /** Of each root, the lowest of the five bits of a key that choose its child, and the bits above them, which all keys below it share. */
  #shifts = new Int32Array(0);
  #prefixes = new Int32Array(0);
  /** Which children a node has. */
  #bitmaps = new Int32Array(FIRST_CAPACITY);
  /** Nodes, and below the lowest nodes levels. A free node has no children but for the first, which is the next free node. */
  #children = new Int32Array(FIRST_CAPACITY * CHILDREN);
  #capacity = FIRST_CAPACITY;
  /** The first node is none. */
  #used = 1;
  #free = NONE;
  /** The nodes from the root down to a key's lowest one. */
  readonly #path = new Int32Array(DEPTH_MAX);

  reach(ladders: number): void {
    this.#roots = extended(this.#roots, ladders);
    this.#shifts = extended(this.#shifts, ladders);
    this.#prefixes = extended(this.#prefixes, ladders);
  }

  find(ladder: number, key: number): number {
    const children = this.#children;
    let node = this.#roots[ladder]!;
    let shift = this.#shifts[ladder]!;
    if ((key >>> shift) >>> BITS !== this.#prefixes[ladder]) return NONE;
    for (; shift >= 0 && node !== NONE; shift -= BITS) {
      node = children[(node << BITS) | ((key >>> shift) & MASK)]!;
    }
    return node;
  }

  /** Adds a level under a key that has none yet. Returns the level of the next higher key, or NONE. */
  insert(ladder: number, key: number, level: number): number {
    this.#raise(ladder, key);
    let node = this.#roots[ladder]!;
    let above = NONE;
    let shiftAbove = 0;
    for (let shift = this.#shifts[ladder]!; ; shift -= BITS) {
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
    const top = this.#shifts[ladder]!;
    let node = this.#roots[ladder]!;
    for (let shift = top, depth = 0; shift >= 0; shift -= BITS, depth++) {
      this.#path[depth] = node;
      node = this.#children[(node << BITS) | ((key >>> shift) & MASK)]!;
    }
    for (let shift = 0, depth = top / BITS; depth >= 0; shift += BITS, depth--) {
      const emptied = this.#path[depth]!;
      const place = (key >>> shift) & MASK;
      this.#children[(emptied << BITS) | place] = NONE;
      this.#bitmaps[emptied]! &= ~(1 << place);
      if (this.#bitmaps[emptied] !== 0) return this.#lower(ladder);
      this.#release(emptied);
    }
    this.#roots[ladder] = NONE;
  }

  /** Puts roots on top until the key is below one. */
  #raise(ladder: number, key: number): void {
    if (this.#roots[ladder] === NONE) {
      this.#roots[ladder] = this.#allocate();
      this.#shifts[ladder] = 0;
      this.#prefixes[ladder] = key >>> BITS;
      return;
    }
    let shift = this.#shifts[ladder]!;
    let prefix = this.#prefixes[ladder]!;
    while ((key >>> shift) >>> BITS !== prefix) {
      const root = this.#allocate();
      this.#children[(root << BITS) | (prefix & MASK)] = this.#roots[ladder]!;
      this.#bitmaps[root] = 1 << prefix;
      this.#roots[ladder] = root;
      prefix >>>= BITS;
      shift += BITS;
    }
    this.#shifts[ladder] = shift;
    this.#prefixes[ladder] = prefix;
  }

  /** Takes roots away that have one child. */
  #lower(ladder: number): void {
    for (;;) {
      const root = this.#roots[ladder]!;
      const bitmap = this.#bitmaps[root]!;
      if (this.#shifts[ladder] === 0 || (bitmap & (bitmap - 1)) !== 0) return;
      const place = lowestBit(bitmap);
      const at = (root << BITS) | place;
      this.#roots[ladder] = this.#children[at]!;
      this.#shifts[ladder]! -= BITS;
      this.#prefixes[ladder] = (this.#prefixes[ladder]! << BITS) | place;
      this.#children[at] = NONE;
      this.#bitmaps[root] = 0;
      this.#release(root);
    }
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

  #release(node: number): void {
    this.#children[node << BITS] = this.#free;
    this.#free = node;
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#bitmaps = extended(this.#bitmaps, this.#capacity);
    this.#children = extended(this.#children, this.#capacity * CHILDREN);
  }
}

function lowestBit(bitmap: number): number {
  return 31 - Math.clz32(bitmap & -bitmap);
}

function extended(integers: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const longer = new Int32Array(length);
  longer.set(integers);
  return longer;
}
