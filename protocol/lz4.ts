/**
 * Unpacks an LZ4 frame without making memory for the result: for a broker that looks at the records and forgets them.
 *
 * The native library gives each result fresh memory, and for batches of 100 KiB the page faults of that memory cost
 * several times what the decompression does; the same loop in JavaScript is no faster. So the block decoder is 450 bytes
 * of WebAssembly, whose source is `lz4.wat`; a test assembles it and compares. Frames with checksums of their own, or
 * larger than the memory here, are left to the library.
 *
 *   memory    [0, 1 MiB) content | [1, 2 MiB) the packed block | slack
 */
import { MalformedError } from './buffer.ts'
import { LZ4_UNCOMPRESSED, lz4Header } from './decompressed-size.ts'

/** lz4.wat, assembled. */
export const LZ4_WASM_BASE64 =
  'AGFzbQEAAAABCQFgBH9/f38BfwMCAQAFAwEAIQcTAgZtZW1vcnkCAAZ1bnBhY2sAAAqRAwGOAwEGfyACIQQCQANA' +
  'IAAgAU8NASAALQAAIQUgAEEBaiEAIAVBBHYhBiAGQQ9GBEADQCAAIAFPDQMgAC0AACEHIABBAWohACAGIAdqIQYg' +
  'B0H/AUYNAAsLIAYgASAAa0sNASAGIAMgAmtLDQEgBkEQTSADIAJrQRBPcQRAIAIgACkDADcDACACIAApAwg3AwgF' +
  'IAIgACAG/AoAAAsgAiAGaiECIAAgBmohACAAIAFGBEAgAg8LIAEgAGtBAkkNASACIAAvAQBrIQggAEECaiEAIAgg' +
  'Ak4NASAIIARIDQEgBUEPcSEGIAZBD0YEQANAIAAgAU8NAyAALQAAIQcgAEEBaiEAIAYgB2ohBiAHQf8BRg0ACwsg' +
  'BkEEaiEGIAYgAyACa0sNASACIAZqIQkgAiAIa0EITyADIAlrQQhPcQRAA0AgAiAIKQMANwMAIAJBCGohAiAIQQhq' +
  'IQggAiAJSQ0ACwUDQCACIAgtAAA6AAAgAkEBaiECIAhBAWohCCACIAlJDQALCyAJIQIMAAsLQX8L'

/** Independent blocks, and nothing else: what Kafka's clients write. */
const PLAIN_FLAGS = 0x60
/** The header's checksum for these flags and each block descriptor: the second byte of XXH32 over the two. */
const HEADER_CHECKSUMS: Readonly<Record<number, number>> = {
  64: 0x82,
  80: 0xfb,
  96: 0x51,
  112: 0x73,
}

const CONTENT_BYTES = 1024 * 1024
const BLOCK_BYTES = 1024 * 1024

type Unpack = (p: number, end: number, at: number, atEnd: number) => number

interface Decoder {
  readonly memory: Buffer
  readonly unpack: Unpack
}

let loaded: Decoder | null = null

/** The types of WebAssembly come with the DOM's, which a server does not have. */
interface WasmExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly unpack: Unpack
}
declare const WebAssembly: {
  readonly Module: new (bytes: Buffer) => object
  readonly Instance: new (module: object) => { readonly exports: WasmExports }
}

function decoder(): Decoder {
  if (loaded !== null) return loaded
  const module = new WebAssembly.Module(Buffer.from(LZ4_WASM_BASE64, 'base64'))
  const { memory, unpack } = new WebAssembly.Instance(module).exports
  loaded = { memory: Buffer.from(memory.buffer), unpack }
  return loaded
}

/**
 * The content of a frame whose structure was checked (lz4Size), valid until the next call; null where this is a case for
 * the library. @throws MalformedError for a block that is no LZ4
 */
export function unpackLz4(frame: Buffer): Buffer | null {
  const { blocksStart, blockMax } = lz4Header(frame)
  if (frame[4] !== PLAIN_FLAGS) return null
  if (frame[6] !== HEADER_CHECKSUMS[frame[5]!]) {
    throw new MalformedError('LZ4 frame with a wrong header checksum')
  }
  const { memory, unpack } = decoder()
  let p = blocksStart
  let written = 0
  for (;;) {
    const word = frame.readUInt32LE(p)
    p += 4
    if (word === 0) return memory.subarray(0, written)
    const size = word & 0x7fffffff
    if (size > BLOCK_BYTES) return null
    if (word >= LZ4_UNCOMPRESSED) {
      if (written + size > CONTENT_BYTES) return null
      written += frame.copy(memory, written, p, p + size)
    } else {
      const end = written + blockMax
      frame.copy(memory, CONTENT_BYTES, p, p + size)
      written = unpack(CONTENT_BYTES, CONTENT_BYTES + size, written, Math.min(end, CONTENT_BYTES))
      if (written === -1) {
        if (end > CONTENT_BYTES) return null
        throw new MalformedError('LZ4 block that goes beyond its bounds')
      }
    }
    p += size
  }
}
