/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78): the checksum of a record batch.
 *
 * Short inputs are summed here, eight bytes a step (slicing-by-8), because a native call costs more than the sum;
 * long ones go to `@node-rs/crc32`, which uses the processor's instruction. The native code is loaded at the first
 * long input, and where it cannot be loaded everything is summed here.
 */
import { createRequire } from 'node:module'

/** From about this many bytes on the native call, and the view of the buffer that it needs, is cheaper (measured). */
const NATIVE_FROM_BYTES = 400

type NativeCrc = (bytes: Uint8Array, seed?: number) => number

/** undefined: not tried yet; null: cannot be loaded here. */
let native: NativeCrc | null | undefined

// Row k holds the effect of one byte that is followed by k more bytes of a group of eight.
const table = new Int32Array(8 * 256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  table[byte] = crc
}
for (let i = 256; i < table.length; i++) {
  const previous = table[i - 256]!
  table[i] = (previous >>> 8) ^ table[previous & 0xff]!
}

/**
 * The checksum of `buffer[start, end)` as an unsigned 32-bit number. With `seed`, the checksum of what came before
 * these bytes, the result is that of both together.
 */
export function crc32c(buffer: Buffer, start: number, end: number, seed = 0): number {
  if (end - start >= NATIVE_FROM_BYTES) {
    if (native === undefined) native = loadNative()
    if (native !== null) return native(buffer.subarray(start, end), seed)
  }
  return slicedCrc32c(buffer, start, end, seed)
}

/** The same in JavaScript for any length. Exported so that tests can compare the two. */
export function slicedCrc32c(buffer: Buffer, start: number, end: number, seed = 0): number {
  const t = table
  const b = buffer
  let crc = ~seed
  let p = start
  for (const last = end - 8; p <= last; p += 8) {
    const low = crc ^ (b[p]! | (b[p + 1]! << 8) | (b[p + 2]! << 16) | (b[p + 3]! << 24))
    crc =
      t[1792 + (low & 0xff)]! ^
      t[1536 + ((low >>> 8) & 0xff)]! ^
      t[1280 + ((low >>> 16) & 0xff)]! ^
      t[1024 + (low >>> 24)]! ^
      t[768 + b[p + 4]!]! ^
      t[512 + b[p + 5]!]! ^
      t[256 + b[p + 6]!]! ^
      t[b[p + 7]!]!
  }
  for (; p < end; p++) crc = (crc >>> 8) ^ t[(crc ^ b[p]!) & 0xff]!
  return ~crc >>> 0
}

function loadNative(): NativeCrc | null {
  try {
    const module = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: NativeCrc }
    return module.crc32c
  } catch {
    return null
  }
}
