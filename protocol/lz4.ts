/**
 * Unpacks an LZ4 frame into a buffer that is there already, block by block.
 *
 * The library's function for whole frames gives each result fresh memory, and for batches of 100 KiB the page faults of
 * that memory cost several times what the decompression does. A block is at most 64 KiB in what Kafka's clients send:
 * memory of that size comes from the heap. Frames with checksums of their own are left to the library.
 */
import { LZ4_UNCOMPRESSED, lz4Header } from './decompressed-size.ts'

/** A compressed byte of LZ4 stands for at most this many. */
const LZ4_MOST = 255
/** The library reads the size of its output in front of the block. */
const PREFIX_BYTES = 4
const LARGEST_BLOCK = 64 * 1024

/** The library's input: output size, block. */
const prefixed = Buffer.allocUnsafeSlow(PREFIX_BYTES + LARGEST_BLOCK)

/**
 * Unpacks a frame whose structure was checked (lz4Size) to the start of `into`; returns the number of bytes, or -1 where
 * this is a case for the library: checksums, larger blocks, or more than `into` holds. `uncompress` is the library's
 * function for one block with its size in front; what it throws is passed on.
 */
export function unpackLz4(
  frame: Buffer,
  into: Buffer,
  uncompress: (block: Buffer) => Buffer,
): number {
  const { blocksStart, blockMax, blockChecksum, contentChecksum } = lz4Header(frame)
  if (blockChecksum !== 0 || contentChecksum !== 0 || blockMax > LARGEST_BLOCK) return -1
  let p = blocksStart
  let written = 0
  for (;;) {
    const word = frame.readUInt32LE(p)
    p += 4
    if (word === 0) return written
    const size = word & 0x7fffffff
    if (written + blockMax > into.length) return -1
    if (word >= LZ4_UNCOMPRESSED) written += frame.copy(into, written, p, p + size)
    else {
      prefixed.writeUInt32LE(Math.min(blockMax, size * LZ4_MOST), 0)
      frame.copy(prefixed, PREFIX_BYTES, p, p + size)
      const block = uncompress(prefixed.subarray(0, PREFIX_BYTES + size))
      written += block.copy(into, written)
    }
    p += size
  }
}
