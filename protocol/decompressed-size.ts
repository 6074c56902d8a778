/**
 * How large will it be? Compressed bytes come from peers, and a few of them can claim to become gigabytes, so the
 * size is known before anything is unpacked. Each function walks the outer structure of one format, gives a bound
 * that the decompressor cannot exceed, and throws MalformedError where the structure does not hold. gzip is not here:
 * its decompressor takes a limit itself.
 */
import { MalformedError } from './buffer.ts'

/**
 * Exact size of a raw snappy block: it begins with it, as an unsigned varint. A size that the bytes behind it cannot
 * give (three bytes give at most 64) is a lie.
 */
export function snappySize(bytes: Buffer): number {
  let size = 0
  let scale = 1
  for (let p = 0; p < 5; p++) {
    if (p >= bytes.length) break
    const byte = bytes[p]!
    size += (byte & 0x7f) * scale
    scale *= 128
    if (byte < 0x80) {
      if (size > bytes.length * 22) {
        throw new MalformedError(`snappy block of ${bytes.length} bytes claims ${size}`)
      }
      return size
    }
  }
  throw new MalformedError('snappy block without a size')
}

const LZ4_MAGIC = 0x184d2204
export const LZ4_UNCOMPRESSED = 0x80000000
/** A compressed byte of LZ4 stands for at most this many. */
const LZ4_MOST = 255

interface Lz4Frame {
  readonly blocksStart: number
  readonly blockMax: number
  readonly blockChecksum: number
  readonly contentChecksum: number
}

/**
 *   magic 04 22 4d 18 | flags | block descriptor | [content size 8] | header checksum 1
 *   blocks: size 4 (little-endian; top bit: stored), bytes, [checksum 4]; size 0 ends | [content checksum 4]
 *
 *   flags 01.......: version; bit 5 blocks independent, 4 block checksums, 3 content size, 2 content checksum,
 *   1 reserved, 0 dictionary. Linked blocks are legal LZ4, but Kafka's readers cannot follow them, so they are refused.
 */
export function lz4Header(bytes: Buffer): Lz4Frame {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== LZ4_MAGIC) {
    throw new MalformedError('not an LZ4 frame')
  }
  const flags = bytes[4]!
  const descriptor = bytes[5]!
  if ((flags & 0xc3) !== 0x40) throw new MalformedError(`LZ4 frame with flags ${flags}`)
  if ((flags & 0x20) === 0) throw new MalformedError('LZ4 frame with linked blocks')
  const sizeCode = descriptor >> 4
  if (sizeCode < 4 || sizeCode > 7 || (descriptor & 0x0f) !== 0) {
    throw new MalformedError(`LZ4 frame with block descriptor ${descriptor}`)
  }
  return {
    blocksStart: 7 + (flags & 0x08 ? 8 : 0),
    blockMax: 1 << (2 * sizeCode + 8),
    blockChecksum: flags & 0x10 ? 4 : 0,
    contentChecksum: flags & 0x04 ? 4 : 0,
  }
}

/**
 * Upper bound for one whole LZ4 frame with nothing behind it. The cheap bound takes each block as large as it could
 * be; if that is above `limit`, the blocks are walked for their exact sizes.
 */
export function lz4Size(bytes: Buffer, limit: number): number {
  const bound = lz4Blocks(bytes, false)
  return bound <= limit ? bound : lz4Blocks(bytes, true)
}

function lz4Blocks(bytes: Buffer, exact: boolean): number {
  const { blocksStart, blockMax, blockChecksum, contentChecksum } = lz4Header(bytes)
  let total = 0
  let p = blocksStart
  for (;;) {
    if (bytes.length - p < 4) throw new MalformedError('LZ4 frame without an end')
    const word = bytes.readUInt32LE(p)
    p += 4
    if (word === 0) break
    const size = word & 0x7fffffff
    if (size > blockMax || size > bytes.length - p) {
      throw new MalformedError(`LZ4 block of ${size} bytes, ${bytes.length - p} left`)
    }
    if (word >= LZ4_UNCOMPRESSED) total += size
    else if (exact) total += lz4BlockSize(bytes, p, p + size)
    else total += Math.min(blockMax, size * LZ4_MOST)
    p += size + blockChecksum
  }
  if (p + contentChecksum !== bytes.length) throw new MalformedError('bytes behind an LZ4 frame')
  return total
}

/** Adds up the literals and matches of one block: token, literals, match distance, without copying anything. */
function lz4BlockSize(bytes: Buffer, start: number, end: number): number {
  let total = 0
  let p = start
  while (p < end) {
    const token = bytes[p++]!
    let literals = token >> 4
    if (literals === 15) {
      let more = 255
      while (more === 255 && p < end) literals += more = bytes[p++]!
    }
    total += literals
    p += literals
    if (p >= end) break
    p += 2
    let match = token & 0x0f
    if (match === 15) {
      let more = 255
      while (more === 255 && p < end) match += more = bytes[p++]!
    }
    total += match + 4
  }
  return total
}

const ZSTD_MAGIC = 0xfd2fb528
const ZSTD_SKIPPABLE = 0x184d2a50
/** Largest output of one block. */
const ZSTD_BLOCK_MAX = 128 * 1024

/** One frame of a zstd stream: `[start, end)`, giving at most `bound` bytes; 0 if there is nothing to decompress. */
export interface ZstdFrame {
  readonly start: number
  readonly end: number
  readonly bound: number
}

/**
 * The frame at `start`. Its bound is what its blocks can give:
 *
 *   magic 28 b5 2f fd | descriptor | [window 1] | [dictionary id 0, 1, 2, 4] | [content size 0, 1, 2, 4, 8]
 *   blocks: header 3 (little-endian: bit 0 last, bits 1-2 kind, the rest size), bytes | [checksum 4]
 *
 * A stored block (kind 0) gives its bytes, a run (1) its size from one byte, a compressed one (2) at most 128 KiB or
 * the window. The content size in the header is not relied on. Dictionaries are refused: nobody could have them.
 */
export function zstdFrame(bytes: Buffer, start: number): ZstdFrame {
  if (bytes.length - start < 8) throw new MalformedError('not a zstd frame')
  const word = bytes.readUInt32LE(start)
  if ((word & 0xfffffff0) >>> 0 === ZSTD_SKIPPABLE) {
    const end = start + 8 + bytes.readUInt32LE(start + 4)
    if (end > bytes.length) throw new MalformedError('zstd frame is cut off')
    return { start, end, bound: 0 }
  }
  if (word !== ZSTD_MAGIC) throw new MalformedError('not a zstd frame')
  const descriptor = bytes[start + 4]!
  if (descriptor & 0x08) throw new MalformedError('zstd frame with a reserved bit')
  if (descriptor & 0x03) throw new MalformedError('zstd frame with a dictionary')
  const singleSegment = (descriptor & 0x20) !== 0
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  const blockMax = singleSegment ? ZSTD_BLOCK_MAX : zstdBlockMax(bytes[start + 5]!)
  let bound = 0
  let p = start + 5 + (singleSegment ? 0 : 1) + contentSizeBytes
  for (let last = false; !last; ) {
    if (bytes.length - p < 3) throw new MalformedError('zstd frame without an end')
    const header = bytes.readUIntLE(p, 3)
    const kind = (header >> 1) & 0x03
    const size = header >> 3
    if (kind === 3) throw new MalformedError('zstd block of a reserved kind')
    if (size > blockMax) throw new MalformedError(`zstd block of ${size} bytes`)
    bound += kind === 2 ? blockMax : size
    p += 3 + (kind === 1 ? 1 : size)
    last = (header & 1) === 1
  }
  if (descriptor & 0x04) p += 4
  if (p > bytes.length) throw new MalformedError('zstd frame is cut off')
  return { start, end: p, bound }
}

function zstdBlockMax(window: number): number {
  const base = 2 ** (10 + (window >> 3))
  return Math.min(ZSTD_BLOCK_MAX, base + (base / 8) * (window & 7))
}
