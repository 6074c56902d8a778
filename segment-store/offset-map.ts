/**
 * From the hash of a key to the newest offset that has it: how compaction knows which records are superseded. Memory is
 * bounded: 24 bytes for each key, in one table that is made as large as needed and at most as large as allowed.
 *
 *   slot:  4 × int32 hash   128 bits of HalfSipHash-2-4 (two of 64 bits, under different keys)
 *          float64 offset   -1: empty
 *
 * The table holds no keys, so two keys with the same hash would count as one and a record would be lost. With 128 bits
 * that does not happen by chance, and since the hash is keyed with random numbers nobody can prepare it.
 */

const SLOT_BYTES = 24

/** 128 bits that key the hash. */
export type HashKey = readonly [number, number, number, number]

export class OffsetMap {
  /** Greatest offset that the map speaks of; records behind it are not in it. */
  latestOffset = -1
  size = 0
  readonly maxSize: number
  private readonly slots: number
  private readonly hashes: Int32Array
  private readonly offsets: Float64Array
  private readonly key: HashKey
  private readonly hash = new Int32Array(4)

  /** @param keys how many there will be at most; @param maxBytes what the table may take; @param loadFactor in (0, 1) */
  constructor(keys: number, maxBytes: number, loadFactor: number, key: HashKey) {
    const allowed = Math.max(2, Math.floor(maxBytes / SLOT_BYTES))
    this.slots = Math.min(allowed, Math.max(2, keys * 2))
    // One slot stays empty, so that a search ends.
    this.maxSize = Math.max(1, Math.min(this.slots - 1, Math.floor(this.slots * loadFactor)))
    this.hashes = new Int32Array(this.slots * 4)
    this.offsets = new Float64Array(this.slots)
    this.key = key
  }

  get isFull(): boolean {
    return this.size >= this.maxSize
  }

  /** How much of the table is in use. */
  get utilization(): number {
    return this.size / this.slots
  }

  /** Notes that the key in `b[start, end)` was written at `offset`. The caller has seen that the map is not full. */
  put(b: Buffer, start: number, end: number, offset: number): void {
    const slot = this.find(b, start, end)
    // Stored one higher, so that a fresh table of zeros is empty.
    if (this.offsets[slot] === 0) {
      this.hashes.set(this.hash, slot * 4)
      this.size += 1
    }
    this.offsets[slot] = offset + 1
  }

  /** The newest offset of the key in `b[start, end)`; -1 if it is not known. */
  get(b: Buffer, start: number, end: number): number {
    return this.offsets[this.find(b, start, end)]! - 1
  }

  /** The slot of the key, or the empty one where it would go. There always is one: the load factor is below 1. */
  private find(b: Buffer, start: number, end: number): number {
    const { hash, hashes, offsets, slots, key } = this
    halfSipHash(b, start, end, key[0], key[1], hash, 0)
    halfSipHash(b, start, end, key[2], key[3], hash, 2)
    let slot = (hash[0]! >>> 0) % slots
    while (offsets[slot] !== 0) {
      const at = slot * 4
      if (
        hashes[at] === hash[0] &&
        hashes[at + 1] === hash[1] &&
        hashes[at + 2] === hash[2] &&
        hashes[at + 3] === hash[3]
      ) {
        return slot
      }
      slot = slot + 1 === slots ? 0 : slot + 1
    }
    return slot
  }
}

/** HalfSipHash-2-4 with 64 bits of result, put into `into[at]` and `into[at + 1]`. */
export function halfSipHash(
  b: Buffer,
  start: number,
  end: number,
  k0: number,
  k1: number,
  into: Int32Array,
  at: number,
): void {
  let v0 = k0 | 0
  let v1 = k1 ^ 0xee
  let v2 = k0 ^ 0x6c796765
  let v3 = k1 ^ 0x74656462
  const length = end - start
  const whole = end - (length & 3)
  let last = length << 24
  if ((length & 3) > 2) last |= b[whole + 2]! << 16
  if ((length & 3) > 1) last |= b[whole + 1]! << 8
  if ((length & 3) > 0) last |= b[whole]!
  for (let p = start; p <= whole; p += 4) {
    const word =
      p === whole ? last : b[p]! | (b[p + 1]! << 8) | (b[p + 2]! << 16) | (b[p + 3]! << 24)
    v3 ^= word
    for (let round = 0; round < 2; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
  }
  v2 ^= 0xee
  for (let half = 0; half < 2; half++) {
    for (let round = 0; round < 4; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    into[at + half] = v1 ^ v3
    v1 ^= 0xdd
  }
}
